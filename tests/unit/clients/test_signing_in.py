"""The façade's sign-in: by phone, in two steps, once more; what it keeps and sends along."""

from __future__ import annotations

import asyncio
import multiprocessing
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from palestra.identity.v1 import auth_service_pb2, relation_service_pb2
from palestra_client import (
    Challenge,
    FileTokenStore,
    InvalidArgument,
    Kept,
    MemoryTokenStore,
    Palestra,
    Proof,
    SecondFactorNeeded,
    StepUpNeeded,
    Unauthenticated,
    method_of,
    methods,
)
from palestra_client._kept import MOST_CONSISTENCY, MOST_DEVICES
from tests.support.fake_community import USER, Community, Failure, community_server
from tests.support.fake_identity import CODE, PASSKEY, PASSWORD, TOTP, add_identity

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
Request = TypeVar("Request")
EMAIL = "ada@example.org"
BLOCK = {"parent": "users/me", "user": "users/11111111-2222-8333-8444-555555555556"}


class Person:
    """Somebody who answers what he is asked, and remembers it."""

    def __init__(self, *answers: Proof, slow_s: float = 0.0) -> None:
        self.asked: list[Challenge] = []
        self._answers = list(answers)
        self._slow_s = slow_s

    async def prove(self, challenge: Challenge) -> Proof:
        self.asked.append(challenge)
        await asyncio.sleep(self._slow_s)
        return self._answers.pop(0)


@asynccontextmanager
async def client(community: Community, person: Person | None = None) -> AsyncIterator[Palestra]:
    """A client with nobody signed in."""
    async with (
        community_server(community, add_identity) as target,
        Palestra(target, prove=person.prove if person else None) as palestra,
    ):
        yield palestra


def requests(community: Community, kind: type[Request]) -> list[Request]:
    """What was asked of one method."""
    return [each for each in community.requests if isinstance(each, kind)]


async def test_one_signs_in_by_phone_as_by_e_mail() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login("+79123456789", PASSWORD)
        await palestra.login(EMAIL, PASSWORD)
        await palestra.register("+79123456789", PASSWORD, "Ada", language="ru", country="RU")
    sent = requests(community, auth_service_pb2.LoginRequest)
    assert [(each.email, each.phone) for each in sent] == [("", "+79123456789"), (EMAIL, "")]
    (registered,) = requests(community, auth_service_pb2.RegisterRequest)
    assert (registered.phone, registered.WhichOneof("contact")) == ("+79123456789", "phone")


async def test_a_device_is_known_again_after_it_was_signed_out_and_by_that_address_only() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        await palestra.logout()
        await palestra.login(EMAIL.upper(), PASSWORD)
        await palestra.login("eve@example.org", PASSWORD)
    sent = requests(community, auth_service_pb2.LoginRequest)
    assert [each.device_token for each in sent] == ["", "a-device", ""]


async def test_a_second_step_is_told_and_done_with_the_ticket() -> None:
    community = Community(factors=(PASSKEY, TOTP))
    async with client(community) as palestra:
        with pytest.raises(SecondFactorNeeded) as caught:
            await palestra.login(EMAIL, PASSWORD)
        needed = caught.value
        assert needed.challenge.factors == ("passkey", "totp")
        assert needed.reason == "SECOND_FACTOR_NEEDED"
        with pytest.raises(Unauthenticated, match="SECOND_FACTOR_WRONG"):
            await palestra.complete_login(needed, Proof.totp("000000"))
        with pytest.raises(Unauthenticated, match="Sign in first"):
            _ = palestra.user
        assert await palestra.complete_login(needed, Proof.totp(CODE)) == USER
        assert palestra.signin.store.kept().device_token(EMAIL) == "a-device"
        assert palestra.user == USER
    assert "ticket" not in repr(needed.challenge)


async def test_who_can_be_asked_is_asked_for_the_second_factor_at_once() -> None:
    community, person = Community(factors=(TOTP,)), Person(Proof.totp(CODE))
    async with client(community, person) as palestra:
        assert await palestra.login(EMAIL, PASSWORD) == USER
    (asked,) = person.asked
    assert (asked.factors, asked.step_up) == (("totp",), False)


async def test_a_passkey_alone_signs_in() -> None:
    async def sign(options: str) -> str:
        return f"signed {options}"

    async with client(Community()) as palestra:
        assert await palestra.login_by_passkey(sign) == USER


async def test_fifty_calls_that_need_a_fresh_sign_in_ask_the_person_once() -> None:
    community = Community(asks_fresh=frozenset({"ListSessions"}))
    person = Person(Proof.password(PASSWORD), slow_s=0.1)
    async with client(community, person) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        refresh = community.refresh
        done = await asyncio.gather(
            *(palestra.call("ListSessions", {"parent": USER}) for _ in range(50))
        )
        assert len(done) == 50
        (asked,) = person.asked
        assert (asked.factors, asked.step_up) == (("password",), True)
        tokens = palestra.signin.store.load()
        assert tokens is not None
        assert tokens.refresh_token == refresh, "the refresh token stays as it is"
        assert community.calls["RefreshToken"] == 0, "a refresh makes no sign-in fresh"


async def test_where_nobody_can_be_asked_the_need_is_told_and_no_refresh_is_made() -> None:
    community = Community(asks_fresh=frozenset({"ListSessions"}))
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        with pytest.raises(StepUpNeeded) as caught:
            await palestra.call("ListSessions", {"parent": USER})
        with pytest.raises(StepUpNeeded):
            await palestra.confirm()
    assert caught.value.reason == "SIGN_IN_TOO_OLD"
    assert community.calls["RefreshToken"] == 0
    assert community.calls["ListSessions"] == 1


async def test_a_wrong_proof_is_told_to_the_call_and_is_asked_once() -> None:
    community = Community(factors=(), asks_fresh=frozenset({"ListSessions"}))
    person = Person(Proof.password("wrong"))
    async with client(community, person) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        with pytest.raises(Unauthenticated, match="SECOND_FACTOR_WRONG"):
            await palestra.call("ListSessions", {"parent": USER})
        assert palestra.user == USER, "the sign-in stays"
    assert len(person.asked) == 1


async def test_a_refresh_under_way_does_not_lose_its_token_to_a_confirmation() -> None:
    community = Community(slow_refresh_s=0.2, asks_fresh=frozenset({"ListSessions"}))
    person = Person(Proof.password(PASSWORD))
    async with client(community, person) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        token = await palestra.signin.access_token()
        renewed, _ = await asyncio.gather(palestra.signin.renewed(token), palestra.confirm())
        assert renewed
        tokens = palestra.signin.store.load()
        assert tokens is not None
        assert tokens.refresh_token == community.refresh
        await palestra.call("ListSessions", {"parent": USER})
    assert len(person.asked) == 1


async def test_the_newest_changes_of_ones_own_go_along_with_later_calls() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        for _ in range(MOST_CONSISTENCY + 1):
            await palestra.call("Block", BLOCK)
        await palestra.call("ListSessions", {"parent": USER})
        assert community.metadata[-1][1]["x-palestra-consistency"] == (
            "change-2,change-3,change-4,change-5"
        )
        await palestra.logout()
        await palestra.login(EMAIL, PASSWORD)
        await palestra.call("ListSessions", {"parent": USER})
    name, last = community.metadata[-1]
    assert name == "ListSessions"
    assert "x-palestra-consistency" not in last, "they end with the sign-in"


async def test_a_damaged_change_is_left_away_and_the_call_made_again() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        await palestra.call("Block", BLOCK)
        damaged = Failure(grpc.StatusCode.INVALID_ARGUMENT, "CONSISTENCY_TOKEN_INVALID")
        community.failures = [damaged]
        await palestra.call("ListSessions", {"parent": USER})
        community.failures = [damaged, damaged]
        with pytest.raises(InvalidArgument, match="CONSISTENCY_TOKEN_INVALID"):
            await palestra.call("ListSessions", {"parent": USER})


async def test_ending_ones_own_session_signs_out_here_and_ending_others_does_not() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        found = [each async for each in palestra.sessions.list()]
        assert [each.current for each in found] == [True, False]
        await palestra.sessions.end(found[1])
        await palestra.sessions.end_others()
        assert palestra.user == USER
        await palestra.sessions.end(found[0])
        with pytest.raises(Unauthenticated):
            _ = palestra.sessions


def _work(target: str, path: str, calls: int) -> None:
    async def run() -> None:
        async with Palestra(target, store=FileTokenStore(path)) as palestra:
            await asyncio.gather(
                *(palestra.call("ListSessions", {"parent": USER}) for _ in range(calls)),
                *(palestra.call("Block", BLOCK) for _ in range(2)),
            )

    asyncio.run(run())


async def test_processes_that_share_a_token_file_make_one_refresh(tmp_path: Path) -> None:
    community, path = Community(slow_refresh_s=0.2), tmp_path / "tokens.json"
    async with (
        community_server(community, add_identity) as target,
        Palestra(target, store=FileTokenStore(path)) as palestra,
    ):
        await palestra.login(EMAIL, PASSWORD)
        community.valid = set()
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_work, args=(target, str(path), 10)) for _ in range(3)]
        for each in workers:
            each.start()
        for each in workers:
            await asyncio.to_thread(each.join)
        assert [each.exitcode for each in workers] == [0, 0, 0]
        assert community.calls["RefreshToken"] == 1
        assert len(FileTokenStore(path).kept().consistency) == MOST_CONSISTENCY
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


async def test_who_signs_out_while_a_refresh_is_under_way_stays_signed_out() -> None:
    community = Community(slow_refresh_s=0.3)
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        renewal = asyncio.create_task(palestra.signin.renewed(await palestra.signin.access_token()))
        while not community.calls["RefreshToken"]:
            await asyncio.sleep(0)
        palestra.signin.end()
        with pytest.raises(Unauthenticated, match="Signed out meanwhile"):
            await renewal
        assert palestra.signin.store.load() is None


async def test_what_is_kept_has_bounds_and_no_address(tmp_path: Path) -> None:
    for store in (MemoryTokenStore(), FileTokenStore(tmp_path / "t.json")):
        for number in range(MOST_DEVICES + 5):
            store.change_kept(
                lambda kept, n=number: kept.with_device(f"{n}@example.org", f"token-{n}")  # type: ignore[misc]
            )
        assert len(store.kept().devices) == MOST_DEVICES
        assert store.kept().device_token("24@example.org") == "token-24"
        assert store.kept().device_token("0@example.org") == ""
    written = (tmp_path / ".t.json.kept").read_text()
    assert "example.org" not in written
    (tmp_path / ".t.json.kept").write_text("{")
    assert FileTokenStore(tmp_path / "t.json").kept() == Kept()


async def test_every_method_that_people_may_call_is_found_by_its_names() -> None:
    known = {each.name for each in methods()}
    assert {
        "AuthService.Login",
        "ActivityService.WatchActivity",
        "DeviceService.ListDevices",
    } <= known
    assert "KeyService.ListKeys" not in known
    assert not [each for each in known if each.startswith(("RevocationService", "DataSubject"))]
    for name in (
        "Login",
        "AuthService/Login",
        "identity.AuthService.Login",
        "/palestra.identity.v1.AuthService/Login",
    ):
        assert method_of(name).name == "AuthService.Login"
    with pytest.raises(LookupError, match="there is no method Logn"):
        method_of("Logn")
    with pytest.raises(LookupError, match=r"there are AuthService\.Login"):
        method_of("login")


async def test_a_request_that_does_not_fit_is_told_before_anything_is_sent() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        with pytest.raises(ValueError, match=r"RelationService\.Block: .*nobody"):
            await palestra.call("Block", {"nobody": 1})
        with pytest.raises(ValueError, match="is a stream"):
            await palestra.call("WatchActivity", {})
        with pytest.raises(ValueError, match="is no stream of answers"):
            _ = [each async for each in palestra.stream("Block", {})]
        made = await palestra.call("Block", relation_service_pb2.BlockRequest(parent="users/me"))
        assert isinstance(made, relation_service_pb2.BlockResponse)
    assert community.calls["Block"] == 1


async def test_a_stream_is_taken_answer_by_answer() -> None:
    community = Community()
    async with client(community) as palestra:
        await palestra.login(EMAIL, PASSWORD)
        answers = [each async for each in palestra.stream("WatchActivity", {"name": "a"})]
    assert len(answers) == 3
