"""Roles and blocks through the edge: nothing without a second factor; in 5 s everywhere."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

import grpc
import httpx
import pytest

from mesh import policy
from mesh.runtime.clock import now
from services.identity.factors import rules as factors
from tests.support import administrators, mesh_calls, workloads
from tests.support.administrators import ROLES, Staff
from tests.support.api_document import operations
from tests.support.athletes import Athlete, Club
from tests.support.grpc_errors import reason_of as reason_of_grpc
from tests.support.live_run import live_run
from tests.support.local_stack import until
from tests.support.made_requests import request
from tests.support.rest_errors import refusal
from tests.support.websocket_runs import websocket_run
from tests.support.whole_stack import WholeStack

WITHIN_S = 5.0
OF_ROLES = {
    path: method
    for path, method in policy.load().methods.items()
    if method.policy.access == policy.ROLE
}
MISSING = "PERMISSION_DENIED/ROLE_MISSING"


@pytest.fixture(scope="module")
def staff(stack: WholeStack) -> Staff:
    return administrators.of(stack)


def granted(stack: WholeStack, user: str, *roles: str) -> None:
    administrators.command(
        stack, "grant", "--reason=tests", *(f"--role={each}" for each in roles), user
    )


def login(athlete: Athlete) -> httpx.Response:
    account = {"email": athlete.email, "password": athlete.password}
    return athlete.rest.post("/v1/auth:login", json=account)


def renewed(athlete: Athlete) -> str:
    told = {"refreshToken": athlete.refresh_token}
    token: str = athlete.rest.post("/v1/auth:refresh", json=told).json()["accessToken"]
    return token


@dataclass(frozen=True, slots=True)
class Weak:
    """Whoever has every role, by tokens of sign-ins without a second factor."""

    user: str
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def weak(stack: WholeStack, athletes: Club) -> Weak:
    athlete = athletes.register("Careless")
    granted(stack, athlete.user, *ROLES)
    told = login(athlete).json()
    assert told["secondFactorWanted"] is True
    # Somebody who has a passkey, and a sign-in from before it, by the password.
    careful = administrators.somebody(stack)
    granted(stack, careful.user, *ROLES)
    return Weak(
        athlete.user,
        {
            "signed in": told["accessToken"],
            "renewed": renewed(athlete),
            "from before the passkey": careful.first_token(),
        },
    )


@pytest.mark.parametrize("path", sorted(OF_ROLES))
async def test_no_method_for_a_role_is_reached_without_a_second_factor_over_grpc(
    path: str, stack: WholeStack, weak: Weak, staff: Staff
) -> None:
    method = OF_ROLES[path]
    # About nobody, so that whoever gets through changes nothing.
    sent = request(method, uuid.uuid4())
    async with workloads.through_the_edge(stack) as edge:

        async def answer(token: str) -> str:
            metadata = (("authorization", f"Bearer {token}"),)
            return await mesh_calls.outcome(edge, method, sent, metadata)

        told = {name: await answer(token) for name, token in weak.tokens.items()}
        assert told == dict.fromkeys(weak.tokens, MISSING)
        # The same person's rights, with a factor: it is the factor that was missing.
        assert await answer(await asyncio.to_thread(staff.token)) != MISSING


def test_no_method_for_a_role_is_reached_without_a_second_factor_over_rest(
    stack: WholeStack, weak: Weak
) -> None:
    asked = [each for each in operations() if "roles" in each.said["x-palestra-policy"]]
    assert len(asked) == len(OF_ROLES)
    with httpx.Client(base_url=stack.rest_url, timeout=10) as rest:
        for token in weak.tokens.values():
            rest.headers["authorization"] = f"Bearer {token}"
            for each in asked:
                body = each.example_body()
                answer = rest.request(each.verb, each.example_path(), json=body or {})
                assert refusal(answer) == (403, "PERMISSION_DENIED", "ROLE_MISSING"), each.name


def test_who_sets_a_factor_up_and_confirms_by_it_has_his_roles_in_the_same_session(
    stack: WholeStack, athletes: Club
) -> None:
    athlete = athletes.register()
    granted(stack, athlete.user, "support")
    rest = athlete.rest

    def mine() -> tuple[list[str], bool, bool]:
        told = rest.get("/v1/users/me/roles").json()
        names = [each["role"] for each in told["roles"]]
        return names, told["active"], told["hasSecondFactor"]

    rest.headers["authorization"] = f"Bearer {renewed(athlete)}"
    assert mine() == (["support"], False, False)
    standing = f"/v1/{athlete.user}/standing"
    assert refusal(rest.get(standing))[2] == "ROLE_MISSING"
    offer = rest.post("/v1/users/me:createTotp", json={}).json()
    secret, step = base64.b32decode(offer["secret"]), factors.step_at(now())
    confirm = {
        "enrolmentToken": offer["enrolmentToken"],
        "code": factors.hotp(secret, step),
    }
    assert rest.post("/v1/users/me:confirmTotp", json=confirm).is_success
    assert mine() == (["support"], False, True)
    proof = {"proof": {"totpCode": factors.hotp(secret, step + 1)}}
    told = rest.post("/v1/users/me:reauthenticate", json=proof).json()
    rest.headers["authorization"] = f"Bearer {told['accessToken']}"
    assert mine() == (["support"], True, True)
    assert rest.get(standing).is_success


def test_a_revoked_role_is_gone_from_every_token_within_seconds(
    stack: WholeStack, staff: Staff
) -> None:
    colleague = administrators.somebody(stack)
    with httpx.Client(base_url=f"{stack.rest_url}/v1", timeout=10) as rest:
        wanted = {
            "role": "support",
            "reason": "helps",
            "expireTime": f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        }
        path = f"/{colleague.user}/roleGrants"
        made = rest.post(path, json=wanted, headers=staff.headers).json()["roleGrant"]
        standing = f"/{staff.user}/standing"
        before = colleague.headers
        for _ in range(5):
            assert rest.get(standing, headers=before).is_success
        why = {"reason": "no longer"}
        assert rest.post(f"/{made['name']}:revoke", json=why, headers=staff.headers).is_success
        until(
            lambda: rest.get(standing, headers=before).status_code == 401,
            WITHIN_S,
            "the token is refused",
        )
        assert refusal(rest.get(standing, headers=before))[2] == "TOKEN_REVOKED"
        after = {"authorization": f"Bearer {colleague.sign_in()}"}
        assert refusal(rest.get(standing, headers=after))[2] == "ROLE_MISSING"


async def test_a_block_ends_streams_over_grpc_and_websocket_and_lets_nobody_in(
    athletes: Club, staff: Staff
) -> None:
    athlete = await asyncio.to_thread(athletes.register)
    headers = await asyncio.to_thread(lambda: staff.headers)
    block = f"/v1/{athlete.user}:block"
    async with (
        live_run(athlete) as run,
        websocket_run(athlete) as socket,
        httpx.AsyncClient(base_url=athlete.stack.rest_url, timeout=10) as rest,
    ):
        await socket.open()
        await run.second(120, 3.0, 55.75, 37.61)
        answer = await rest.post(block, json={"reason": "shouts"}, headers=headers)
        assert answer.is_success, answer.text
        begun = time.monotonic()
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await run._hear("closed")
            _, code, why = await socket.end()
        assert time.monotonic() - begun < WITHIN_S
    assert reason_of_grpc(ended.value) == "TOKEN_REVOKED"
    assert (code, why) == (4401, "TOKEN_REVOKED")
    await asyncio.to_thread(_stays_out, athlete, staff)


def _stays_out(athlete: Athlete, staff: Staff) -> None:
    for path in ("/v1/users/me", "/v1/users/me/activities", "/v1/users/me/devices"):
        until(
            lambda path=path: athlete.rest.get(path).status_code == 401,  # type: ignore[misc]
            WITHIN_S,
            f"{path} refuses the token",
        )
    told = {"refreshToken": athlete.refresh_token}
    assert athlete.rest.post("/v1/auth:refresh", json=told).status_code in (401, 403)
    assert refusal(login(athlete))[2] == "ACCOUNT_BLOCKED"
    # Only who knows the password learns of it.
    wrong = {"email": athlete.email, "password": "not the password"}
    answer = athlete.rest.post("/v1/auth:login", json=wrong)
    assert refusal(answer)[2] == "CREDENTIALS_WRONG"
    unblock = f"/v1/{athlete.user}:unblock"
    why = {"reason": "quiet"}
    assert athlete.rest.post(unblock, json=why, headers=staff.headers).is_success
    assert login(athlete).json()["accessToken"]


def test_each_change_leaves_an_audit_record_without_its_words(
    stack: WholeStack, staff: Staff, athletes: Club
) -> None:
    athlete, words = athletes.register(), f"words-{uuid.uuid4()}"
    for what in ("block", "unblock"):
        path = f"/v1/{athlete.user}:{what}"
        assert athlete.rest.post(path, json={"reason": words}, headers=staff.headers).is_success
    administrators.command(stack, "grant", f"--reason={words}", "--role=coach", athlete.user)
    found = (
        "SELECT method, caller, actor, resource FROM identity.audit_records "
        "WHERE resource LIKE %s ORDER BY at"
    )
    with stack.database() as database:
        rows = database.execute(found, [f"{athlete.user}%"]).fetchall()
        assert not database.execute(
            "SELECT 1 FROM identity.audit_records a WHERE a::text LIKE %s", [f"%{words}%"]
        ).fetchall()
    blocked, unblocked, granted_ = rows
    service = "/palestra.identity.v1.RoleService"
    assert blocked == (f"{service}/BlockUser", "edge", staff.user, athlete.user)
    assert unblocked == (f"{service}/UnblockUser", "edge", staff.user, athlete.user)
    assert granted_[:2] == ("roles grant", "operator")
    assert granted_[3].startswith(f"{athlete.user}/roleGrants/")


def test_the_command_takes_who_has_proved_his_address(stack: WholeStack, athletes: Club) -> None:
    athlete = athletes.register()
    with pytest.raises(AssertionError, match="proved"):
        administrators.command(stack, "grant", "--reason=tests", athlete.email)
    with pytest.raises(AssertionError, match="nobody has this address"):
        administrators.command(stack, "grant", "--reason=tests", "nobody@example.com")
    with pytest.raises(AssertionError, match="ROLE_UNKNOWN"):
        administrators.command(stack, "grant", "--reason=tests", "--role=king", athlete.user)
    athlete.verify()
    said = administrators.command(stack, "grant", "--reason=tests", "--days=2", athlete.email)
    name, role, _, _, reason = said.strip().split("\t")
    assert (role, reason) == ("administrator", "tests")
    assert name in administrators.command(stack, "list")
    administrators.command(stack, "revoke", "--reason=tests", name)
    assert name not in administrators.command(stack, "list")
