"""Contract -> resources of both proxies, with pydantic's validation on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration

from gateway.overrides import Override, Overrides
from mesh import catalog, policy
from mesh.control import access, consistency, keys, render
from mesh.control.authority import create_authority, utc_now
from mesh.control.inputs import Inputs
from mesh.control.resources.routes import REPEATABLE, UNTOUCHED
from mesh.control.snapshot import Resources, take

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
REGISTER = "/palestra.identity.v1.AuthService/Register"
INGEST = "/palestra.training.v1.TrackerService/IngestTelemetry"
GET_KEYS = "/palestra.identity.v1.KeyService/GetKeySet"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    authority, now = create_authority(utc_now()), utc_now()
    workloads = [catalog.EDGE, *(each.name for each in catalog.SERVICES)]
    descriptor_set = policy.DESCRIPTOR_SET.read_bytes()
    return Inputs(
        run=Path("/stack/run"),
        edge_host="127.0.0.1",
        edge_port=8080,
        proof="a-proof-with-100%-of-its-characters",
        contract=policy.contract_of(policy.files_of(descriptor_set)),
        descriptor_set=descriptor_set,
        ca_pem=authority.ca_pem,
        identities={each: authority.issue(each, now) for each in workloads},
        endpoints={"identity": ("/stack/run/identity-0.sock",)},
        overrides=Overrides(),
        jwks=keys.nobody().jwks(),
    )


@pytest.fixture(scope="module")
def edge(inputs: Inputs) -> Resources:
    return render.edge(inputs)


@pytest.fixture(scope="module")
def node(inputs: Inputs) -> Resources:
    return render.node(inputs)


def table(resources: Resources, name: str) -> RouteConfiguration:
    return next(each for each in resources.routes if each.name == name)


def routes(resources: Resources, name: str) -> dict[str, Route]:
    return {each.name: each for each in table(resources, name).virtual_hosts[0].routes}


def test_what_is_rendered_fits_together(edge: Resources, node: Resources) -> None:
    consistency.check("edge", edge)
    consistency.check("node", node)


def test_equal_inputs_have_equal_versions(inputs: Inputs) -> None:
    once, again = (take("node", render.node(inputs)) for _ in range(2))
    assert once.version == again.version


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("clusters", "leads to no cluster"),
        ("assignments", "has no assignment"),
        ("secrets", "names no secret"),
        ("filters", "names no filter"),
        ("routes", "names no routes"),
    ],
)
def test_what_leads_nowhere_is_not_published(node: Resources, kind: str, words: str) -> None:
    broken = dataclasses.replace(node, **{kind: []})
    with pytest.raises(consistency.InconsistentError, match=words):
        consistency.check("node", broken)


def test_two_of_one_name_are_not_published(node: Resources) -> None:
    doubled = dataclasses.replace(node, clusters=[*node.clusters, node.clusters[0]])
    with pytest.raises(consistency.InconsistentError, match="two clusters"):
        consistency.check("node", doubled)


def test_callers_are_the_contracts(inputs: Inputs) -> None:
    methods = inputs.contract.methods
    services = {each.name for each in catalog.SERVICES}
    assert access.workloads_for(methods[GET_PROFILE]) == ("edge",)
    assert access.workloads_for(methods[INGEST]) == ("integration",)
    everybody = {*services, catalog.CONTROL, catalog.OPERATOR}
    assert set(access.workloads_for(methods[GET_KEYS])) == everybody


def test_every_method_is_in_exactly_one_rule_and_health_is_the_operators(inputs: Inputs) -> None:
    for service in catalog.SERVICES:
        rules = access.rules_of(inputs.contract, service.name)
        paths = [path for rule in rules for path in rule.paths]
        assert sorted(paths) == sorted(m.path for m in inputs.contract.of_service(service.name))
        prefixed = [rule.workloads for rule in rules if rule.prefixes]
        assert prefixed == [(catalog.OPERATOR,)]


def test_a_call_goes_out_only_to_what_the_contract_allows(node: Resources) -> None:
    assert set(routes(node, "integration-out")) == {INGEST, GET_KEYS, "refused"}
    assert set(routes(node, "identity-out")) == {"refused"}
    assert "identity-to-training" not in {each.name for each in node.clusters}


def test_only_what_is_harmless_to_repeat_is_tried_again_after_it_was_sent(node: Resources) -> None:
    inbound = routes(node, "identity-in")
    retries = {
        path: inbound[path].route.retry_policy.retry_on  # type: ignore[union-attr]
        for path in (GET_PROFILE, REGISTER)
    }
    assert retries == {GET_PROFILE: REPEATABLE, REGISTER: UNTOUCHED}
    streams = routes(node, "training-in")[INGEST]
    assert streams.route is not None
    assert streams.route.retry_policy is not None
    assert streams.route.retry_policy.retry_on == UNTOUCHED
    assert streams.route.max_stream_duration is None


def test_the_proof_is_set_over_whatever_came(node: Resources) -> None:
    for service in catalog.SERVICES:
        (proof,) = table(node, f"{service.name}-in").request_headers_to_add
        assert proof.header is not None
        # A per cent sign is Envoy's sign for a variable.
        assert proof.header.value == "a-proof-with-100%%-of-its-characters"
        assert proof.append_action.name == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_a_changed_limit_changes_filters_alone(inputs: Inputs, edge: Resources) -> None:
    changed = Overrides({GET_PROFILE: Override(requests=5)})
    before = take("edge", edge)
    after = take("edge", render.edge(dataclasses.replace(inputs, overrides=changed)))
    different = {
        kind.rsplit(".", 1)[-1] for kind in before.types if before.of(kind) != after.of(kind)
    }
    assert different == {"TypedExtensionConfig"}


def test_changed_endpoints_change_assignments_alone(inputs: Inputs) -> None:
    moved = dataclasses.replace(inputs, endpoints={"identity": ("/stack/run/identity-1.sock",)})
    before, after = (take("node", render.node(each)) for each in (inputs, moved))
    different = {
        kind.rsplit(".", 1)[-1] for kind in before.types if before.of(kind) != after.of(kind)
    }
    assert different == {"ClusterLoadAssignment"}


def test_the_listeners_never_change_with_limits_keys_or_endpoints(inputs: Inputs) -> None:
    moved = dataclasses.replace(
        inputs,
        endpoints={},
        jwks=keys.nobody().jwks(),
        overrides=Overrides({GET_PROFILE: Override(timeout_ms=5, requests=5)}),
    )
    for proxy in (render.edge, render.node):
        before, after = (take("x", proxy(each)) for each in (inputs, moved))
        kind = next(each for each in before.types if each.endswith("Listener"))
        assert before.of(kind).version == after.of(kind).version
