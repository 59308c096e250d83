"""The rules of access that today's contract does not use yet: roles, plans, fresh sign-in."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import pytest

from mesh import policy
from mesh.runtime import access
from mesh.runtime.calls import OWN_APPS, Call, User
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import profile_service_pb2 as pb
from palestra.mesh.v1.policy_pb2 import OTHERS_DENY, OTHERS_ROLE, OTHERS_VISIBLE, Policy

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ProfileService"].methods_by_name["GetProfile"]
MINE, ANOTHERS = (
    uuid.UUID("8ce9916f-d7f0-486c-bc1c-1c8360d8bd68"),
    uuid.UUID("a89a93c4-6d86-4505-876e-4cbbfbf65b00"),
)
USER = User(
    id=MINE,
    session="s",
    scopes=frozenset({"profile.read"}),
    roles=frozenset({"coach"}),
    plan="pro",
    client=OWN_APPS,
    auth_time_s=int(time.time()) - 100,
    expire_time_s=int(time.time()) + 900,
)


def method(**rules: object) -> policy.Method:
    told = Policy(**({"access": policy.USER} | rules))  # type: ignore[arg-type]
    return policy.Method(DESCRIPTOR, told, (), "identity.palestra")


def call(user: User | None = USER, caller: str = "edge") -> Call:
    return Call(method="/x", caller=caller, user=user)


def refusal(rules: policy.Method, under: Call) -> str:
    with pytest.raises(MeshError) as refused:
        access.admit(rules, under)
    return refused.value.reason


def test_one_of_the_roles_is_enough() -> None:
    access.admit(method(access=policy.ROLE, roles=["admin", "coach"]), call())


def test_a_role_that_is_not_held_is_missed() -> None:
    assert refusal(method(access=policy.ROLE, roles=["admin"]), call()) == "ROLE_MISSING"


def test_without_a_token_a_role_cannot_be_shown() -> None:
    assert refusal(method(access=policy.ROLE, roles=["coach"]), call(None)) == "TOKEN_MISSING"


def test_a_plan_is_asked_for_by_name() -> None:
    access.admit(method(requires_plan="pro"), call())
    assert refusal(method(requires_plan="team"), call()) == "PLAN_MISSING"


def test_a_sign_in_may_be_as_old_as_the_contract_says_and_no_older() -> None:
    signed_in = replace(USER, auth_time_s=int(time.time()) - 100)
    access.admit(method(fresh_auth_s=200), call(signed_in))
    assert refusal(method(fresh_auth_s=60), call(signed_in)) == "SIGN_IN_TOO_OLD"


def test_a_named_service_may_call_beside_the_edge_and_only_with_its_user() -> None:
    rules = method(callers=["training"])
    access.admit(rules, call(caller="training"))
    assert refusal(rules, call(None, caller="training")) == "TOKEN_MISSING"
    assert refusal(rules, call(caller="integration")) == "CALLER_REFUSED"


@pytest.mark.parametrize("caller", ["edge", "stranger", ""])
def test_a_star_is_every_service_and_nobody_else(caller: str) -> None:
    rules = method(access=policy.SERVICE, callers=["*"])
    access.admit(rules, call(None, caller="training"))
    access.admit(rules, call(None, caller="control"))
    assert refusal(rules, call(None, caller=caller)) == "CALLER_REFUSED"


def owner_check(user: User, name: str, **rules: object) -> str:
    """The request's name after the check."""
    check = access.owner_check(method(owner="name", **rules))
    assert check is not None
    request = pb.GetProfileRequest(name=name)
    check(request, call(user))
    return request.name


def test_me_is_the_caller() -> None:
    assert owner_check(USER, "users/me", others=OTHERS_DENY) == f"users/{MINE}"
    assert owner_check(USER, "users/me/x/y", others=OTHERS_DENY) == f"users/{MINE}/x/y"


@pytest.mark.parametrize(
    "name",
    [
        f"users/{ANOTHERS}",
        f"users/{MINE}{MINE}",
        f"users/{MINE}x/devices",
        f"groups/{MINE}",
        f"x/users/{MINE}",
        "users/mean",
        f"users/{str(MINE).upper()}",
        "",
        "users",
    ],
)
def test_what_is_not_below_the_callers_own_name_is_anothers(name: str) -> None:
    with pytest.raises(MeshError, match="NOT_OWNER"):
        owner_check(USER, name, others=OTHERS_DENY)


def test_others_with_the_role_may() -> None:
    name = f"users/{ANOTHERS}"
    assert owner_check(USER, name, others=OTHERS_ROLE, others_role="coach") == name
    with pytest.raises(MeshError, match="NOT_OWNER"):
        owner_check(USER, name, others=OTHERS_ROLE, others_role="admin")
    bare = replace(USER, roles=frozenset())
    with pytest.raises(MeshError, match="NOT_OWNER"):
        owner_check(bare, name, others=OTHERS_ROLE, others_role="coach")


def test_where_visibility_decides_flow_is_asked() -> None:
    name = f"users/{ANOTHERS}"
    assert owner_check(USER, name, others=OTHERS_VISIBLE) == name


def test_without_an_owner_there_is_nothing_to_check() -> None:
    assert access.owner_check(method()) is None


PARTNER = replace(USER, client="0190b6f0-0000-7000-8000-000000000001")
SERVICE = replace(USER, client=str(MINE), roles=frozenset({"service"}))


def test_an_app_of_others_gets_what_a_scope_grants_and_nothing_without() -> None:
    access.admit(method(scope="profile.read"), call(PARTNER))
    assert refusal(method(scope="profile.write"), call(PARTNER)) == "SCOPE_MISSING"
    assert refusal(method(), call(PARTNER)) == "SCOPE_MISSING"


def test_a_service_account_goes_by_a_name_of_its_own() -> None:
    assert SERVICE.name == f"serviceAccounts/{MINE}"
    assert USER.name == f"users/{MINE}"
    access.admit(method(access=policy.ROLE, roles=["service"], scope="profile.read"), call(SERVICE))


@pytest.mark.parametrize("name", ["users/me", "users/me/devices", f"users/{MINE}"])
def test_a_service_account_owns_nothing_not_even_what_has_its_number(name: str) -> None:
    with pytest.raises(MeshError, match="NOT_OWNER"):
        owner_check(SERVICE, name, others=OTHERS_DENY)


def test_a_service_account_is_nobody_where_a_method_is_about_the_caller() -> None:
    assert refusal(method(scope="profile.read"), call(SERVICE)) == "NOT_OWNER"


def test_a_service_account_reaches_others_things_by_its_role_alone() -> None:
    allowed = {"others": OTHERS_ROLE, "others_role": "service"}
    assert owner_check(SERVICE, f"users/{ANOTHERS}", **allowed) == f"users/{ANOTHERS}"
    with pytest.raises(MeshError, match="nothing of its own"):
        owner_check(SERVICE, "users/me", **allowed)
