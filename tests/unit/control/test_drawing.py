"""What is drawn after many changes is what a start would draw; and no more of it is made."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import betterproto2
import pytest

from gateway.origins import Origins
from gateway.overrides import Override, Overrides
from mesh import catalog
from mesh.control import consistency, keys, render, wire
from mesh.control.authority import create_authority, utc_now
from mesh.control.drawing import Drawing
from mesh.control.inputs import Inputs
from mesh.control.render import Makers
from mesh.control.resources.endpoints import Host
from mesh.control.snapshot import Message
from mesh.control.traffic import USUAL, Fault, Steering, Traffic
from tests.support.snapshots import take

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
MAKERS = {
    "edge": render.OF_EDGE,
    "node": render.OF_NODE,
    "client": render.of_client(catalog.OPERATOR),
}
ALL = set(render.OF_NODE)


def workers(*names: str) -> tuple[Host, ...]:
    return tuple(Host(f"/stack/run/{name}.sock") for name in names)


@pytest.fixture(scope="module")
def others(inputs: Inputs) -> dict[str, Any]:
    """Another value for each of the inputs."""
    authority, now = create_authority(utc_now()), utc_now()
    steered = Traffic({"training": Steering({"canary": 10.0}, {"vera": "unix:/vera.sock"})}, ())
    return {
        "run": Path("/elsewhere/run"),
        "edge_host": "0.0.0.0",
        "edge_port": 8081,
        "proof": "another",
        "contract": dataclasses.replace(
            inputs.contract,
            methods={
                path: method
                for path, method in inputs.contract.methods.items()
                if not path.endswith("/DeleteActivity")
            },
        ),
        "descriptor_set": inputs.descriptor_set + b"\x0a\x00",
        "ca_pem": authority.ca_pem,
        "identities": {each: authority.issue(each, now) for each in inputs.identities},
        "endpoints": {"identity": workers("identity-1"), "training:canary": workers("canary-0")},
        "overrides": Overrides({GET_PROFILE: Override(timeout_ms=5, requests=5)}),
        "jwks": keys.nobody().jwks().replace('"kid": "', '"kid": "x'),
        "tls": "1.3",
        "trusted_hops": 2,
        "limiter_timeout_s": 0.5,
        "connection_age_s": 60.0,
        "origins": Origins(("https://palestra.example",)),
        "direct_port": 9000,
        "own": Host("", "eu", "a"),
        "traffic": steered,
    }


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second look at each message, which `test_render` takes."""
    for name in ("_is_pydantic", "_type_hints", "_get_field_default"):
        monkeypatch.setattr(betterproto2.Message, name, getattr(betterproto2.Message, name))
    wire.trust_own_messages()


def test_each_input_has_another_value_here(inputs: Inputs, others: dict[str, Any]) -> None:
    assert {field.name for field in dataclasses.fields(Inputs)} == set(others)
    assert all(getattr(inputs, name) != value for name, value in others.items())


# The field is deprecated, and the only one that gRPC's own client reads.
@pytest.mark.filterwarnings("ignore:CertificateValidationContext.match_subject_alt_names")
@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("proxy", MAKERS)
def test_after_any_changes_it_is_what_a_start_would_draw(
    inputs: Inputs, others: dict[str, Any], proxy: str
) -> None:
    chance = random.Random(20)
    drawing, now = Drawing(proxy, MAKERS[proxy]), inputs
    # With TLS the edge names a certificate that these identities have not.
    fields = sorted(set(others) - {"tls"})
    for name in (*fields, *chance.sample(fields, 6)):
        turned = getattr(now, name) == getattr(inputs, name)
        now = dataclasses.replace(now, **{name: (others if turned else vars_of(inputs))[name]})
        fresh = Drawing(proxy, MAKERS[proxy]).draw(now)
        assert drawing.draw(now).version == fresh.version, name


def vars_of(inputs: Inputs) -> dict[str, Any]:
    return {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}


def test_it_is_what_is_taken_of_the_whole(inputs: Inputs) -> None:
    assert Drawing("edge", render.OF_EDGE).draw(inputs) == take("edge", render.edge(inputs))
    assert Drawing("node", render.OF_NODE).draw(inputs) == take("node", render.node(inputs))


def counted(makers: Makers, made: Counter[str]) -> Makers:
    def counts(
        kind: str, make: Callable[[Inputs], Sequence[Message]]
    ) -> Callable[[Inputs], Sequence[Message]]:
        def count(inputs: Inputs) -> Sequence[Message]:
            made[kind] += 1
            return make(inputs)

        return count

    return {kind: counts(kind, make) for kind, make in makers.items()}


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("change", "of_edge", "of_node"),
    [
        ({}, set(), set()),
        (
            {"endpoints": {"training": workers("training-0", "training-1")}},
            {"assignments"},
            {"assignments"},
        ),
        (
            {"endpoints": {"training:canary": workers("canary-0")}},
            {"assignments"},
            {"assignments", "clusters"},
        ),
        ({"ca_pem": b"-"}, {"secrets"}, {"secrets"}),
        ({"jwks": keys.nobody().jwks() + " "}, {"filters"}, set()),
        (
            {"traffic": Traffic({}, (Fault("training", 50.0, 9e9, delay_ms=5),))},
            set(),
            {"routes", "assignments"},
        ),
        ({"run": Path("/elsewhere")}, {"listeners", "clusters"}, {"listeners", "clusters"}),
    ],
)
def test_only_what_changed_is_made_anew(
    inputs: Inputs, change: dict[str, Any], of_edge: set[str], of_node: set[str]
) -> None:
    for makers, expected in ((render.OF_EDGE, of_edge), (render.OF_NODE, of_node)):
        made: Counter[str] = Counter()
        drawing = Drawing("x", counted(makers, made))
        drawing.draw(inputs)
        assert made == dict.fromkeys(ALL, 1)
        made.clear()
        drawing.draw(dataclasses.replace(inputs, **change))
        assert set(made) == expected


def test_what_does_not_fit_is_not_kept(inputs: Inputs) -> None:
    lost = False

    def assignments(given: Inputs) -> Sequence[Message]:
        return [] if lost else render.OF_NODE["assignments"](given)

    drawing = Drawing("node", {**render.OF_NODE, "assignments": assignments})
    before = drawing.draw(inputs)
    moved = dataclasses.replace(inputs, endpoints={"training": workers("training-7")})
    lost = True
    with pytest.raises(consistency.InconsistentError, match="has no assignment"):
        drawing.draw(moved)
    lost = False
    assert drawing.draw(inputs) == before
    assert drawing.draw(moved) == take("node", render.node(moved))


def test_the_operators_ways_end_as_they_began(inputs: Inputs, others: dict[str, Any]) -> None:
    drawing = Drawing("node", render.OF_NODE)
    usual = drawing.draw(inputs)
    assert drawing.draw(dataclasses.replace(inputs, traffic=others["traffic"])) != usual
    assert drawing.draw(dataclasses.replace(inputs, traffic=USUAL)) == usual
