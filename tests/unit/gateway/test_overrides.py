import json
from dataclasses import replace

import pytest

from gateway.overrides import Limit, OverrideError, Overrides, parse
from mesh import catalog, policy

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
WATCH = "/palestra.training.v1.ActivityService/WatchActivity"
LOGIN = "/palestra.identity.v1.AuthService/Login"


@pytest.fixture(scope="module")
def contract() -> policy.Contract:
    return policy.load()


def test_without_an_override_the_contract_speaks(contract: policy.Contract) -> None:
    method = contract.methods[GET_PROFILE]
    assert Overrides().timeout_ms(method) == method.policy.timeout_ms
    limit = method.policy.limit
    assert Overrides().limit(method) == Limit(limit.requests, limit.window_s, "user")


def test_a_stream_has_no_deadline(contract: policy.Contract) -> None:
    assert Overrides().timeout_ms(contract.methods[WATCH]) == 0


def test_an_open_method_is_counted_by_address(contract: policy.Contract) -> None:
    limit = Overrides().limit(contract.methods[LOGIN])
    assert limit is not None
    assert limit.key == "address"


def test_an_override_changes_what_it_names_and_nothing_else(contract: policy.Contract) -> None:
    text = json.dumps({"methods": {GET_PROFILE: {"limit": {"requests": 7}}}})
    changed = parse(text, contract)
    method = contract.methods[GET_PROFILE]
    assert changed.limit(method) == Limit(7, method.policy.limit.window_s, "user")
    assert changed.timeout_ms(method) == method.policy.timeout_ms
    assert changed.limit(contract.methods[LOGIN]) == Overrides().limit(contract.methods[LOGIN])


def test_a_capacity_changes_in_what_it_names(contract: policy.Contract) -> None:
    changed = parse('{"capacity": {"training": {"requests": 7}}}', contract)
    standing = catalog.service("training").capacity
    assert changed.capacity("training") == replace(standing, requests=7)
    assert changed.capacity("identity") == Overrides().capacity("identity")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"routes": {}}', "unknown entry 'routes'"),
        ('{"methods": {"/no.Such/Method": {}}}', "/no.Such/Method"),
        (f'{{"methods": {{"{GET_PROFILE}": {{"access": 1}}}}}}', "unknown entry 'access'"),
        (f'{{"methods": {{"{GET_PROFILE}": {{"timeout_ms": 0}}}}}}', "timeout_ms"),
        (f'{{"methods": {{"{GET_PROFILE}": {{"timeout_ms": true}}}}}}', "timeout_ms"),
        (f'{{"methods": {{"{GET_PROFILE}": {{"timeout_ms": 600001}}}}}}', "timeout_ms"),
        (f'{{"methods": {{"{GET_PROFILE}": {{"limit": {{"requests": -1}}}}}}}}', "requests"),
        (f'{{"methods": {{"{WATCH}": {{"timeout_ms": 5}}}}}}', "is a stream"),
        ('{"capacity": {"nobody": {}}}', "unknown entry 'nobody'"),
        ('{"capacity": {"training": {"calls": 1}}}', "unknown entry 'calls'"),
        ('{"capacity": {"training": {"requests": 0}}}', "training capacity: requests"),
        ('{"capacity": {"training": 7}}', "training capacity is not an object"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_place(
    contract: policy.Contract, document: str, words: str
) -> None:
    with pytest.raises(OverrideError, match=words):
        parse(document, contract)
