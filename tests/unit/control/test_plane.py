"""Inputs change on disk; what is published follows, or says why not."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import betterproto2
import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from mesh import policy
from mesh.control import last_good, slices, wire
from mesh.control.authority import utc_now
from mesh.control.inputs import Settings
from mesh.control.plane import Plane
from mesh.control.record import Record
from mesh.control.server import Discovery
from mesh.control.slices import Assembled

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
GET_ACTIVITY = "/palestra.training.v1.ActivityService/GetActivity"


class Running:
    """A plane on a folder of its own."""

    def __init__(self, state: Path, contract: bytes | None = None) -> None:
        (state / "mesh").mkdir(exist_ok=True)
        self.settings = Settings(state, state / "contract.binpb", "127.0.0.1", 8080)
        content = contract or policy.DESCRIPTOR_SET.read_bytes()
        self.settings.contract.write_bytes(content)
        self.record = Record(state / "mesh" / "control.json")
        self.judged: list[str] = []
        self.plane = Plane(self.settings, self.record, Discovery(self.record), self._judge)
        self.plane.start()

    def _judge(self, assembled: Assembled) -> str | None:
        """Takes everything but a mapping with a response_body, as Envoy does."""
        services = {method.service for method in assembled.contract.methods.values()}
        self.judged.append(" ".join(sorted(services)))
        refused = b"response_body_is_here" in assembled.descriptor_set
        return "no response_body, please" if refused else None

    def write(self, name: str, value: object) -> None:
        fresh = self.settings.mesh / "fresh"
        fresh.write_text(value if isinstance(value, str) else json.dumps(value))
        fresh.replace(self.settings.mesh / name)
        self.look()

    def look(self) -> None:
        self.plane.look()
        self.plane.decide()

    def restarted(self) -> Running:
        """Another on the same folder, with the contract that is there."""
        return Running(self.settings.state, self.settings.contract.read_bytes())

    def all_take(self) -> None:
        """Both proxies are there and take everything, and the token keys are known."""
        self.record.keys(("k1",))
        for proxy in ("edge", "node"):
            self.record.connected(proxy, 1)
            for kind in wire.ORDER:
                self.record.took(proxy, kind, self.record.serve(proxy, kind))
        self.plane.heed_proxies()

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
    running.plane.renew(utc_now() + timedelta(minutes=26))
    assert before == {kind: running.record.serve("node", kind).version for kind in kinds}
    running.plane.renew(utc_now() + timedelta(minutes=34))
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
    running.look()
    assert running.versions() == before


@pytest.mark.parametrize("content", [b"", b"no descriptor set at all"])
def test_a_contract_that_is_none_is_refused_while_the_last_one_holds(
    running: Running, content: bytes
) -> None:
    before = running.versions()
    running.settings.contract.write_bytes(content)
    running.look()
    assert running.refused() == ["contract.binpb"]
    assert running.versions() == before


def test_a_restart_publishes_the_same_but_for_the_certificates(tmp_path: Path) -> None:
    first = Running(tmp_path)
    again = Record(tmp_path / "mesh" / "control.json")
    Plane(first.settings, again, Discovery(again), lambda _: None).start()
    for kind in wire.ORDER:
        if kind != wire.SECRETS:
            served = again.serve("node", kind).version
            assert served == first.record.serve("node", kind).version


def spoilt(descriptor_set: bytes, *methods: str) -> bytes:
    """The contract with a mapping that a proxy would refuse, of each of these methods."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                if method.name in methods:
                    rule.response_body = "response_body_is_here"
                elif method.name in ("GetProfile", "GetActivity"):
                    # Something new that is good.
                    rule.additional_bindings.add(get=f"/v2/{{name=users/*}}/{file.package}")
    return files.SerializeToString()


def slices_of(record: Record) -> dict[str, dict[str, Any]]:
    found = record.as_json()["slices"]
    assert isinstance(found, dict)
    return found


def routes_of(running: Running) -> bytes:
    return running.record.serve("edge", wire.ROUTES).by_name["edge"].value


def replace_contract(running: Running, content: bytes) -> None:
    running.settings.contract.write_bytes(content)
    running.look()


def test_a_bad_slice_keeps_its_last_good_while_another_moves(running: Running) -> None:
    before = slices_of(running.record)
    good = running.settings.contract.read_bytes()
    replace_contract(running, spoilt(good, "GetProfile"))
    after = slices_of(running.record)
    assert after["identity"]["version"] == before["identity"]["version"]
    assert after["identity"]["error"] == "no response_body, please"
    assert after["training"]["version"] != before["training"]["version"]
    assert after["training"]["refused"] is None
    assert after["integration"] == before["integration"]
    assert b"palestra\\.training\\.v1" in routes_of(running)
    assert b"palestra\\.identity\\.v1" not in routes_of(running)
    assert running.refused() == ["slice identity"]
    replace_contract(running, good)
    assert slices_of(running.record) == before
    assert running.refused() == []


def test_only_what_changed_is_judged_and_each_alone(running: Running) -> None:
    # At the first start all is new: once as a whole.
    assert running.judged == ["identity integration training"]
    good = running.settings.contract.read_bytes()
    replace_contract(running, spoilt(good, "GetProfile"))
    assert running.judged[1:] == ["identity", "training"]
    running.write("overrides.json", {"methods": {GET_ACTIVITY: {"timeout_ms": 700}}})
    # What was refused is not asked again until it is another.
    assert running.judged[3:] == ["training"]


def test_a_restart_with_a_bad_slice_keeps_the_last_good(running: Running) -> None:
    running.all_take()
    before = slices_of(running.record)
    running.settings.contract.write_bytes(
        spoilt(running.settings.contract.read_bytes(), "GetProfile")
    )
    again = running.restarted()
    assert (slices_of(again.record), again.judged) == (before, [])
    again.look()
    assert slices_of(again.record)["identity"]["version"] == before["identity"]["version"]
    assert slices_of(again.record)["training"]["version"] != before["training"]["version"]
    assert again.refused() == ["slice identity"]
    assert again.judged == ["identity", "training"]


def test_what_is_newer_at_a_restart_counts_as_missing_until_it_is_decided_on(
    running: Running,
) -> None:
    """A stack that starts with a newer contract is not ready with the last one."""
    running.all_take()
    running.settings.contract.write_bytes(
        spoilt(running.settings.contract.read_bytes(), "GetProfile")
    )
    again = running.restarted()
    again.all_take()
    assert not again.record.ready()
    again.plane.decide()
    assert not again.record.ready()
    again.all_take()
    assert again.record.ready()


def test_a_restart_where_the_last_good_fits_no_more_serves_what_is_wanted(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.all_take()
    stale, assemble = last_good.read(running.settings.mesh / "slices.json"), slices.assemble

    def newer(whole: slices.Whole) -> Assembled:
        if whole is stale:
            raise ValueError("made of what this program knows no more")
        return assemble(whole)

    monkeypatch.setattr(last_good, "read", lambda _: stale)
    monkeypatch.setattr(slices, "assemble", newer)
    again = running.restarted()
    assert again.judged == ["identity integration training"]
    assert slices_of(again.record) == slices_of(running.record)


def test_a_first_start_with_a_bad_slice_serves_the_others(tmp_path: Path) -> None:
    contract = spoilt(policy.DESCRIPTOR_SET.read_bytes(), "GetProfile")
    running = Running(tmp_path, contract)
    found = slices_of(running.record)
    assert found["identity"]["version"] is None
    assert found["training"]["version"]
    assert running.refused() == ["slice identity"]


def test_a_first_start_with_nothing_good_says_why(tmp_path: Path) -> None:
    contract = spoilt(
        policy.DESCRIPTOR_SET.read_bytes(), "GetProfile", "GetActivity", "ListDevices"
    )
    with pytest.raises(ValueError, match="no response_body, please"):
        Running(tmp_path, contract)


def test_a_restart_that_finds_everything_as_it_was_asks_nobody(running: Running) -> None:
    running.all_take()
    assert running.restarted().judged == []


def test_what_a_proxy_refuses_falls_back_to_the_last_good(running: Running) -> None:
    """The judge was content, the proxy is not."""
    running.all_take()
    before = slices_of(running.record)
    running.write("overrides.json", {"methods": {GET_PROFILE: {"timeout_ms": 700}}})
    newest = running.record.serve("edge", wire.ROUTES)
    running.record.refused("edge", wire.ROUTES, newest.version, "route GetProfile is odd")
    running.plane.heed_proxies()
    after = slices_of(running.record)
    assert after["identity"]["version"] == before["identity"]["version"]
    assert after["identity"]["error"] == "route GetProfile is odd"
    assert running.refused() == ["slice identity"]
    # It stays so until the slice is another.
    running.look()
    assert slices_of(running.record) == after
    running.write("overrides.json", {})
    assert slices_of(running.record) == before


def test_of_several_that_changed_the_one_that_the_proxy_names_falls_back(
    running: Running,
) -> None:
    running.all_take()
    before = slices_of(running.record)
    running.write(
        "overrides.json",
        {"methods": {GET_PROFILE: {"timeout_ms": 700}, GET_ACTIVITY: {"timeout_ms": 700}}},
    )
    newest = running.record.serve("edge", wire.FILTERS)
    words = "palestra.training.v1.ActivityService is odd"
    running.record.refused("edge", wire.FILTERS, newest.version, words)
    running.plane.heed_proxies()
    after = slices_of(running.record)
    assert after["training"]["version"] == before["training"]["version"]
    assert after["identity"]["version"] != before["identity"]["version"]


def test_a_refusal_that_no_slice_caused_moves_none(running: Running) -> None:
    running.all_take()
    before = slices_of(running.record)
    newest = running.record.serve("edge", wire.LISTENERS)
    running.record.refused("edge", wire.LISTENERS, newest.version, "cannot bind")
    running.plane.heed_proxies()
    assert slices_of(running.record) == before


@pytest.mark.parametrize("damage", ["torn", '{"format": 0}', '{"format": 1, "slices": {}}'])
def test_a_damaged_memory_of_the_last_good_counts_as_none(running: Running, damage: str) -> None:
    running.all_take()
    (running.settings.mesh / "slices.json").write_text(damage)
    assert running.restarted().judged == ["identity integration training"]


def test_an_override_that_cannot_be_followed_leaves_the_other_domains_theirs(
    running: Running,
) -> None:
    before = slices_of(running.record)
    running.write(
        "overrides.json",
        {"methods": {GET_PROFILE: {"timeout_ms": 0}, GET_ACTIVITY: {"timeout_ms": 700}}},
    )
    after = slices_of(running.record)
    assert "timeout_ms" in after["identity"]["error"]
    assert after["identity"]["version"] == before["identity"]["version"]
    assert after["training"]["version"] != before["training"]["version"]


def test_a_first_start_with_an_override_that_cannot_be_followed_serves_the_contract(
    tmp_path: Path,
) -> None:
    (tmp_path / "mesh").mkdir()
    changes = {"methods": {GET_PROFILE: {"timeout_ms": 0}}}
    (tmp_path / "mesh" / "overrides.json").write_text(json.dumps(changes))
    running = Running(tmp_path)
    assert slices_of(running.record)["identity"]["version"]
    assert running.refused() == ["slice identity"]


def test_a_path_of_two_domains_stays_with_the_one_that_has_it(running: Running) -> None:
    good = running.settings.contract.read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(good)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.name == "GetActivity":
                    rule = method.options.Extensions[annotations_pb2.http]
                    rule.additional_bindings.add(get="/v1/{name=users/me}")
    before = slices_of(running.record)
    replace_contract(running, files.SerializeToString())
    after = slices_of(running.record)
    assert "GetProfile" in after["training"]["error"]
    assert "one path fits both" in after["training"]["error"]
    assert after["training"]["version"] == before["training"]["version"]
    # Once identity has given the path up, training may have it, though nothing of it changed.
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.name == "GetProfile":
                    rule = method.options.Extensions[annotations_pb2.http]
                    rule.get = "/v2/{name=users/*}/profile"
    replace_contract(running, files.SerializeToString())
    assert running.refused() == []
