"""Contract -> resources of both proxies, with pydantic's validation on."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from envoy_data_plane.envoy.config.route.v3 import FilterConfig, Route, RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import CorsPolicy
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import PerRouteConfig
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)

from gateway import origins
from gateway.overrides import Override, Overrides
from gateway.pages import SSO_START, TELEMETRY
from gateway.routes import VERBS
from mesh import catalog
from mesh.control import access, consistency, keys, render
from mesh.control.inputs import Inputs
from mesh.control.resources import compression, names, strictness
from mesh.control.resources.endpoints import Host
from mesh.control.resources.retries import FILTER, REPEATABLE, UNTOUCHED
from mesh.control.resources.routes import BODY_S
from mesh.control.snapshot import Resources
from mesh.control.wire import pack
from tests.support.snapshots import take

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
REGISTER = "/palestra.identity.v1.AuthService/Register"
INGEST = "/palestra.training.v1.TrackerService/IngestTelemetry"
PERSON_KEY = "/palestra.identity.v1.PersonKeyService/GetPersonKey"
REVOKED = "/palestra.identity.v1.RevocationService/WatchRevocations"
GET_KEYS = "/palestra.identity.v1.KeyService/GetKeySet"
FACTS = "/palestra.identity.v1.ProfileService/GetAthleteFacts"
CONSENTS = "/palestra.identity.v1.ConsentService/CheckConsents"
CHOICES = "/palestra.identity.v1.SettingsService/GetNotificationChoices"
DEFAULTS = "/palestra.identity.v1.SettingsService/GetActivityDefaults"
ZONES = "/palestra.identity.v1.PrivacyZoneService/GetPrivacyZones"
CARDS = "/palestra.identity.v1.ProfileService/BatchGetCards"
VISIBILITY = tuple(
    f"/palestra.identity.v1.VisibilityService/{name}"
    for name in ("CheckVisibility", "FilterVisible", "ListRelationChanges")
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
    everybody = {*services, catalog.CONTROL, catalog.OPERATOR, catalog.EDGE}
    assert set(access.workloads_for(methods[GET_KEYS])) == everybody


def test_every_method_is_in_exactly_one_rule_and_health_is_the_operators(inputs: Inputs) -> None:
    for service in catalog.SERVICES:
        rules = access.rules_of(inputs.contract, service.name)
        paths = [path for rule in rules for path in rule.paths]
        assert sorted(paths) == sorted(m.path for m in inputs.contract.of_service(service.name))
        prefixed = [rule.workloads for rule in rules if rule.prefixes]
        assert prefixed == [(catalog.OPERATOR,)]


def test_a_call_goes_out_only_to_what_the_contract_allows(node: Resources) -> None:
    assert set(routes(node, "integration-out")) == {
        *(INGEST, GET_KEYS, PERSON_KEY, REVOKED, CARDS, CHOICES, CONSENTS, *VISIBILITY, "refused")
    }
    asked = {"ExportData", "EraseData", "ListUnerased"}
    others = {f"/palestra.{to}.v1.DataSubjectService/" for to in ("integration", "training")}
    about_people = {f"{service}{method}" for service in others for method in asked}
    assert set(routes(node, "identity-out")) == {*about_people, "refused"}
    assert set(routes(node, "training-out")) == {
        GET_KEYS,
        PERSON_KEY,
        REVOKED,
        CARDS,
        CHOICES,
        CONSENTS,
        DEFAULTS,
        FACTS,
        ZONES,
        *VISIBILITY,
        "refused",
    }
    assert "training-to-integration" not in {each.name for each in node.clusters}


def retried(resources: Resources, name: str) -> dict[str, str]:
    """What each route of a table tries again, by the route's name."""
    return {
        path: route.route.retry_policy.retry_on
        for path, route in routes(resources, name).items()
        if route.route and route.route.retry_policy
    }


def test_only_what_is_harmless_to_repeat_is_tried_again_after_it_was_sent(
    edge: Resources, node: Resources
) -> None:
    found = retried(edge, "edge")
    expected = {f"gRPC {GET_PROFILE}": REPEATABLE, f"gRPC {REGISTER}": UNTOUCHED}
    assert {name: found[name] for name in expected} == expected
    reads = dict.fromkeys((GET_KEYS, PERSON_KEY, CARDS, CHOICES, CONSENTS, *VISIBILITY), REPEATABLE)
    assert retried(node, "integration-out") == {INGEST: UNTOUCHED, REVOKED: UNTOUCHED, **reads}
    throttled = {
        name
        for name, each in routes(edge, "edge").items()
        if FILTER in each.typed_per_filter_config
    }
    assert throttled == {name for name, what in found.items() if what == REPEATABLE}


def test_a_services_own_proxy_repeats_only_what_reached_nobody(node: Resources) -> None:
    for service in catalog.SERVICES:
        assert set(retried(node, f"{service.name}-in").values()) == {UNTOUCHED}
    streams = routes(node, "training-in")[INGEST]
    assert streams.route is not None
    assert streams.route.max_stream_duration is None


def test_a_page_leads_to_its_part_with_the_proof_and_untranscoded(edge: Resources) -> None:
    route = routes(edge, "edge")[TELEMETRY.name]
    assert route.route is not None
    assert route.route.cluster == "app-web"
    assert [each.upgrade_type for each in route.route.upgrade_configs] == ["websocket"]
    assert route.route.rate_limits
    (proof,) = route.request_headers_to_add
    assert proof.header is not None
    assert proof.header.value == "a-proof-with-100%%-of-its-characters"
    assert set(route.typed_per_filter_config) == {
        *("edge-transcoder", "edge-tokens", "token-claims", "body-limit", "edge-told-limits")
    }


def test_the_edges_own_processes_may_call_what_pages_bridge_and_nothing_else(
    inputs: Inputs,
    edge: Resources,
) -> None:
    inside = {
        path for path, method in inputs.contract.methods.items() if "edge" in method.policy.callers
    }
    assert {path.split("/")[1] for path in inside} == {
        "palestra.identity.v1.KeyService",
        "palestra.identity.v1.OAuthService",
        "palestra.identity.v1.SsoService",
    }
    bridged = {TELEMETRY.bridges, SSO_START.bridges}
    assert set(routes(edge, "edge-out")) == {*bridged, *inside, "refused"}
    # And nobody outside may: the edge leads there from its own processes alone.
    outside = {route.match.path for route in routes(edge, "edge").values() if route.match}
    assert not inside & outside


def test_one_caller_cannot_fill_a_service_and_streams_are_counted_apart(
    inputs: Inputs, node: Resources, edge: Resources
) -> None:
    def budgets(resources: Resources, name: str) -> dict[str, int]:
        (cluster,) = (each for each in resources.clusters if each.name == name)
        assert cluster.circuit_breakers is not None
        found = cluster.circuit_breakers.thresholds
        return {each.priority.name: each.max_requests or 0 for each in found}

    capacity = catalog.service("training").capacity
    from_edge = budgets(edge, "edge-to-training")
    assert from_edge == {"DEFAULT": capacity.requests, "HIGH": capacity.streams}
    assert budgets(node, "integration-to-training") == from_edge
    inside = budgets(node, "app-training")
    assert inside == {name: 2 * most for name, most in from_edge.items()}
    for method in inputs.contract.of_service("training"):
        action = routes(node, "training-in")[method.path].route
        assert action is not None
        assert (action.priority.name == "HIGH") is method.streaming


def test_the_proof_is_set_over_whatever_came(node: Resources) -> None:
    for service in catalog.SERVICES:
        (proof,) = table(node, f"{service.name}-in").request_headers_to_add
        assert proof.header is not None
        # A per cent sign is Envoy's sign for a variable.
        assert proof.header.value == "a-proof-with-100%%-of-its-characters"
        assert proof.append_action.name == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_a_changed_limit_changes_filters_and_routes_alone(inputs: Inputs, edge: Resources) -> None:
    changed = Overrides({GET_PROFILE: Override(requests=5)})
    before = take("edge", edge)
    after = take("edge", render.edge(dataclasses.replace(inputs, overrides=changed)))
    different = {
        kind.rsplit(".", 1)[-1] for kind in before.types if before.of(kind) != after.of(kind)
    }
    assert different == {"TypedExtensionConfig", "RouteConfiguration"}


def test_who_is_counted_by_all_edges_together_is_guarded_by_each_edge_too(edge: Resources) -> None:
    action = routes(edge, "edge")[f"gRPC {REGISTER}"].route
    assert action is not None
    own, shared = action.rate_limits
    assert (own.stage, shared.stage) == (None, 1)
    assert own.x_ratelimit_option.name == "OFF"
    said = [each.generic_key for each in shared.actions if each.generic_key]
    assert [(each.descriptor_key, each.descriptor_value) for each in said] == [
        ("method", REGISTER),
        ("limit", "300/60"),
    ]
    # One home, or one machine, has a /64 of IPv6 addresses.
    address = shared.actions[-1].masked_remote_address
    assert address is not None
    assert (address.v4_prefix_mask_len, address.v6_prefix_mask_len) == (32, 64)


def test_users_are_counted_by_what_was_verified_and_never_by_a_header(
    inputs: Inputs, edge: Resources
) -> None:
    for name, route in routes(edge, "edge").items():
        limits = route.route.rate_limits if route.route else []
        for action in (action for limit in limits for action in limit.actions):
            assert action.request_headers is None, name
            if action.metadata is not None:
                assert action.metadata.metadata_key is not None
                assert action.metadata.metadata_key.key == "envoy.filters.http.jwt_authn"
                requirement = route.typed_per_filter_config["edge-tokens"].unpack()
                assert isinstance(requirement, PerRouteConfig)
                assert requirement.requirement_name, name


def test_proxies_before_the_edge_are_believed_as_many_as_there_are(inputs: Inputs) -> None:
    def hops(given: Inputs) -> int:
        (door,) = (each for each in render.edge(given).listeners if each.name == "edge")
        packed = door.filter_chains[0].filters[0].typed_config
        assert packed is not None
        manager = packed.unpack()
        assert isinstance(manager, HttpConnectionManager)
        return manager.xff_num_trusted_hops

    assert hops(inputs) == 0
    assert hops(dataclasses.replace(inputs, trusted_hops=2)) == 2


def test_changed_endpoints_change_assignments_alone(inputs: Inputs) -> None:
    moved = dataclasses.replace(
        inputs, endpoints={"identity": (Host("/stack/run/identity-1.sock"),)}
    )
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


def cors_of(resources: Resources) -> CorsPolicy:
    (host,) = table(resources, "edge").virtual_hosts
    return CorsPolicy.parse(host.typed_per_filter_config["cors"].value)


def regexes_of(cors: CorsPolicy) -> list[str]:
    found = [each.safe_regex for each in cors.allow_origin_string_match]
    return [each.regex for each in found if each is not None]


def test_the_origins_of_the_setting_are_those_of_cors(inputs: Inputs) -> None:
    some = origins.parse("https://app.example,https://*.app.example")
    chosen = cors_of(render.edge(dataclasses.replace(inputs, origins=some)))
    assert regexes_of(chosen) == list(some.regexes)
    assert regexes_of(cors_of(render.edge(inputs))) == [".*"]
    assert not chosen.allow_credentials


def test_what_answers_with_a_token_is_never_compressed(edge: Resources) -> None:
    off = compression.off().keys()
    for name, route in routes(edge, "edge").items():
        secret = (":register", ":login", ":refresh", "/avatarUploads", ":rotateSecret")
        mine = (":download", "users/*/erasure", ":startSso", ":finishSso", "/shopLogout")
        second = (":completeLogin", "PasskeyLogin", ":createTotp", ":createRecoveryCodes")
        again = (":reauthenticate", ":startReauthentication", ":startPasskeyRegistration")
        with_token = any(word in name for word in (*secret, *mine, *second, *again)) or name in (
            "POST /v1/users/*/apps",
            "POST /v1/serviceAccounts",
        )
        # Lines and events would wait for each other; of gRPC nothing is text.
        never = with_token or ":watch" in name or name.startswith("/palestra.")
        if name.startswith(("GET", "POST", "PATCH", "DELETE", "/palestra.")):
            assert (off <= route.typed_per_filter_config.keys()) == never, name


def test_the_deadline_of_a_rest_route_is_one_that_envoy_heeds(edge: Resources) -> None:
    found = 0
    for name, route in routes(edge, "edge").items():
        if route.route is None or not name.startswith(("GET /v1", "POST /v1", "PATCH /v1")):
            continue
        # Beside a longest duration Envoy passes over the timeout.
        assert route.route.max_stream_duration is None, name
        if route.route.timeout:
            assert route.route.idle_timeout == route.route.timeout + timedelta(seconds=BODY_S)
            found += 1
    assert found > 5


def test_what_a_route_has_no_use_for_is_not_made_for_its_calls(edge: Resources) -> None:
    off = pack(FilterConfig(disabled=True))
    asks_the_limiter, looks_at_fields, transcodes = set(), set(), set()
    found = routes(edge, "edge")
    for name, route in found.items():
        told = route.typed_per_filter_config
        if names.SHARED_LIMITS in told:
            asks_the_limiter.add(name)
        if route.route and told.get(strictness.FILTER) != off:
            looks_at_fields.add(name)
        if route.route and told.get(names.TRANSCODER) != off:
            transcodes.add(name)
    staged = {
        name
        for name, route in found.items()
        if route.route and any(each.stage for each in route.route.rate_limits)
    }
    assert asks_the_limiter == staged
    assert 0 < len(staged) < len(found) / 2
    rest = {name for name in found if name.startswith(VERBS)}
    assert transcodes & {name for name in found if name.startswith("/palestra.")} == set()
    assert rest <= transcodes
    assert {n for n in rest if n.startswith(("POST", "PUT", "PATCH"))} <= looks_at_fields
    assert {n for n in rest if n.startswith(("GET", "DELETE"))} & looks_at_fields == set()
