import dataclasses
from types import MappingProxyType

import pytest

from gateway.overrides import Overrides
from gateway.routes import EdgeRoute, RouteError, derive
from mesh import policy


@pytest.fixture(scope="module")
def contract() -> policy.Contract:
    return policy.load()


def routes(contract: policy.Contract) -> dict[str, EdgeRoute]:
    return {route.name: route for route in derive(contract, Overrides())}


def with_http(contract: policy.Contract, method: str, *rules: policy.HttpRule) -> policy.Contract:
    path = next(path for path in contract.methods if path.endswith(method))
    changed = dataclasses.replace(contract.methods[path], http=rules)
    methods = MappingProxyType({**contract.methods, path: changed})
    return dataclasses.replace(contract, methods=methods)


def test_every_outside_method_has_a_grpc_route_and_no_internal_one(
    contract: policy.Contract,
) -> None:
    grpc = {route.method for route in derive(contract, Overrides()) if route.pattern is None}
    outside = {
        path for path, method in contract.methods.items() if method.policy.access != policy.SERVICE
    }
    assert grpc == outside
    assert "/palestra.identity.v1.KeyService/GetKeySet" not in grpc


def test_every_mapping_has_a_route_with_the_methods_deadline(contract: policy.Contract) -> None:
    known = routes(contract)
    mappings = [
        (method, rule)
        for method in contract.methods.values()
        for rule in method.http
        if method.policy.access != policy.SERVICE
    ]
    rest = [route for route in known.values() if route.pattern]
    assert len(rest) == len(mappings)
    get = known["GET /v1/users/*"]
    assert (get.method, get.timeout_ms) == (
        "/palestra.identity.v1.ProfileService/GetProfile",
        1000,
    )
    assert known["GET /v1/users/*/activities/*:watch"].timeout_ms == 0


def test_only_open_methods_need_no_token(contract: policy.Contract) -> None:
    for route in derive(contract, Overrides()):
        public = contract.methods[route.method].policy.access == policy.PUBLIC
        assert route.needs_token is not public


def test_two_methods_on_one_path_are_refused_by_name(contract: policy.Contract) -> None:
    taken = policy.HttpRule("GET", "/v1/{parent=users/*}", "")
    with pytest.raises(RouteError, match=r"ListDevices.*GetProfile|GetProfile.*ListDevices"):
        derive(with_http(contract, "ListDevices", taken), Overrides())


@pytest.mark.parametrize(
    ("method", "rule", "words"),
    [
        ("GetProfile", policy.HttpRule("LIST", "/v1/x", ""), "no HTTP verb"),
        ("GetProfile", policy.HttpRule("GET", "/v1/{", ""), "GetProfile"),
        ("StreamTelemetry", policy.HttpRule("POST", "/v1/t", "*"), "client stream"),
    ],
)
def test_a_mapping_that_cannot_be_served_is_refused_by_name(
    contract: policy.Contract, method: str, rule: policy.HttpRule, words: str
) -> None:
    with pytest.raises(RouteError, match=words):
        derive(with_http(contract, method, rule), Overrides())


def test_a_path_of_one_domain_may_not_fit_what_is_anothers(contract: policy.Contract) -> None:
    """Their order would decide, and one more domain could take what another has."""
    rule = policy.HttpRule("GET", "/v1/{name=*/me}", "")
    method = "/palestra.training.v1.ActivityService/GetActivity"
    with pytest.raises(RouteError, match=r"GetProfile.*two domains|two domains.*one path"):
        derive(with_http(contract, method, rule), Overrides())
    # Another verb is another request.
    other = dataclasses.replace(rule, verb="PUT")
    assert derive(with_http(contract, method, other), Overrides())


def test_what_is_read_most_is_tried_first_and_overtakes_nothing_that_fits_too(
    contract: policy.Contract,
) -> None:
    names = [route.name for route in derive(contract, Overrides())]
    first = names[
        : sum(method.policy.HasField("cache") for method in contract.methods.values()) * 2
    ]
    assert "GET /v1/users/*/activities/*" in first
    assert "gRPC /palestra.training.v1.ActivityService/ListActivities" in first
    # Beside one that is more particular it waits behind that.
    nearer = policy.HttpRule("GET", "/v1/{name=users/*/activities/latest}", "")
    again = [r.name for r in derive(with_http(contract, "WatchActivity", nearer), Overrides())]
    particular = "GET /v1/users/*/activities/latest"
    assert again.index(particular) < again.index("GET /v1/users/*/activities/*")
    assert again.index("GET /v1/users/*/activities") < again.index(particular)
