"""Inputs change on disk; what is published follows, or says why not."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import betterproto2
import pytest

from mesh import policy
from mesh.control import wire
from mesh.control.authority import utc_now
from mesh.control.inputs import Settings
from mesh.control.plane import Plane
from mesh.control.record import Record
from mesh.control.server import Discovery

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"


class Running:
    """A plane on a folder of its own."""

    def __init__(self, state: Path) -> None:
        (state / "mesh").mkdir()
        self.settings = Settings(state, state / "contract.binpb", "127.0.0.1", 8080)
        shutil.copy(policy.DESCRIPTOR_SET, self.settings.contract)
        self.record = Record(state / "mesh" / "control.json")
        self.plane = Plane(self.settings, self.record, Discovery(self.record))
        self.plane.start()

    def write(self, name: str, value: object) -> None:
        fresh = self.settings.mesh / "fresh"
        fresh.write_text(value if isinstance(value, str) else json.dumps(value))
        fresh.replace(self.settings.mesh / name)
        self.plane.look()

    def versions(self) -> object:
        return self.record.as_json()["versions"]

    def refused(self) -> list[str]:
        rejected = self.record.as_json()["rejected"]
        assert isinstance(rejected, list)
        return [each["type_url"] for each in rejected]


@pytest.fixture(autouse=True)
def as_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pydantic's validation is off, as in the process; test_render has it on."""
    monkeypatch.setattr(betterproto2.Message, "_is_pydantic", lambda _: False)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_certificates_are_renewed_in_time_and_nothing_else_changes(running: Running) -> None:
    kinds = wire.ORDER
    before = {kind: running.record.serve("node", kind).version for kind in kinds}
    running.plane.renew(utc_now() + timedelta(hours=15))
    assert before == {kind: running.record.serve("node", kind).version for kind in kinds}
    running.plane.renew(utc_now() + timedelta(hours=17))
    changed = {k for k in kinds if running.record.serve("node", k).version != before[k]}
    assert changed == {wire.SECRETS}


def test_a_torn_file_changes_nothing_and_is_shown_until_it_is_whole(running: Running) -> None:
    running.write("endpoints.json", {"identity": ["/s/identity-0.sock"]})
    before = running.versions()
    running.write("endpoints.json", '{"identity": ["/s/ide')
    assert running.refused() == ["endpoints.json"]
    assert running.versions() == before
    running.write("endpoints.json", {"identity": ["/s/identity-0.sock"]})
    assert running.refused() == []


def test_one_bad_file_does_not_hold_up_another(running: Running) -> None:
    running.write("overrides.json", "nonsense")
    before = running.versions()
    running.write("endpoints.json", {"training": ["/s/training-0.sock"]})
    assert running.refused() == ["overrides.json"]
    assert running.versions() != before


def test_overrides_that_are_taken_away_are_over(running: Running) -> None:
    before = running.versions()
    running.write("overrides.json", {"methods": {GET_PROFILE: {"timeout_ms": 5}}})
    assert running.versions() != before
    (running.settings.mesh / "overrides.json").unlink()
    running.plane.look()
    assert running.versions() == before


@pytest.mark.parametrize("content", [b"", b"no descriptor set at all"])
def test_a_contract_that_is_none_is_refused_while_the_last_one_holds(
    running: Running, content: bytes
) -> None:
    before = running.versions()
    running.settings.contract.write_bytes(content)
    running.plane.look()
    assert running.refused() == ["contract.binpb"]
    assert running.versions() == before


def test_a_restart_publishes_the_same_but_for_the_certificates(tmp_path: Path) -> None:
    first = Running(tmp_path)
    again = Record(tmp_path / "mesh" / "control.json")
    Plane(first.settings, again, Discovery(again)).start()
    for kind in wire.ORDER:
        if kind != wire.SECRETS:
            served = again.serve("node", kind).version
            assert served == first.record.serve("node", kind).version
