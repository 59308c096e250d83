"""What a real Envoy says of a slice, and how often it is asked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import betterproto2
import pytest

from gateway import check
from gateway.overrides import Overrides
from mesh import catalog, policy
from mesh.control import keys, slices
from mesh.control.authority import create_authority, utc_now
from mesh.control.inputs import Inputs
from mesh.control.judge import by_envoy
from mesh.control.selection import Judge
from mesh.control.slices import Assembled
from tests.unit.control.test_plane import spoilt


@pytest.fixture(autouse=True)
def as_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pydantic's validation is off, as in the process."""
    monkeypatch.setattr(betterproto2.Message, "_is_pydantic", lambda _: False)


@pytest.fixture
def judge() -> Judge:
    authority, now = create_authority(utc_now()), utc_now()
    workloads = [catalog.EDGE, *(each.name for each in catalog.SERVICES)]

    def inputs_with(assembled: Assembled) -> Inputs:
        return dataclasses.replace(
            beside,
            contract=assembled.contract,
            descriptor_set=assembled.descriptor_set,
            overrides=assembled.overrides,
        )

    beside = Inputs(
        run=Path("/stack/run"),
        edge_host="127.0.0.1",
        edge_port=8080,
        proof="a proof of some length",
        contract=policy.Contract({}, {}),
        descriptor_set=b"",
        ca_pem=authority.ca_pem,
        identities={each: authority.issue(each, now) for each in workloads},
        endpoints={},
        overrides=Overrides(),
        jwks=keys.nobody().jwks(),
    )
    return by_envoy(inputs_with)


def whole(contract: bytes) -> slices.Whole:
    return slices.split(contract, b"{}")


@pytest.mark.parametrize("domain", [each.name for each in catalog.SERVICES])
def test_envoy_takes_each_domain_alone(judge: Judge, domain: str) -> None:
    alone = slices.alone(whole(policy.DESCRIPTOR_SET.read_bytes()), domain)
    assert {method.service for method in alone.contract.methods.values()} == {domain}
    assert judge(alone) is None


def test_envoy_refuses_what_is_bad_and_nothing_else(judge: Judge) -> None:
    bad = whole(spoilt(policy.DESCRIPTOR_SET.read_bytes(), "GetProfile"))
    assert "response_body" in str(judge(slices.alone(bad, "identity")))
    assert judge(slices.alone(bad, "training")) is None


def test_one_content_is_judged_once(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(check, "envoys_words", asked.append)
    for _ in range(3):
        assert judge(slices.alone(whole(policy.DESCRIPTOR_SET.read_bytes()), "identity")) is None
    assert len(asked) == 1


def test_where_no_envoy_can_be_asked_the_proxies_judge(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: bytes) -> None:
        raise FileNotFoundError("no envoy here")

    monkeypatch.setattr(check, "envoys_words", gone)
    assert judge(slices.alone(whole(policy.DESCRIPTOR_SET.read_bytes()), "identity")) is None
