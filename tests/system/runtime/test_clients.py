"""Apps of others and service accounts: registered, changed, proved, ended; twice and at once."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from mesh.runtime.calls import User
from mesh.runtime.clock import now
from mesh.runtime.ids import uuid7
from mesh.runtime.revocations import Revocations
from mesh.runtime.streams import LiveStream, LiveStreams
from mesh.runtime.tasks import end
from services.identity.clients.flow import BEGINNING
from services.identity.clients.rules import clients as rules
from services.identity.clients.rules.clients import SERVICE_TOKEN_S, Authentication
from services.identity.clients.rules.errors import (
    AddressNotVerified,
    ClientHasNoSecret,
    ClientKeyInvalid,
    ClientNotFound,
    EtagMismatch,
    OAuthClientInvalid,
    OAuthRequestInvalid,
    RequestIdReused,
    ScopeUnknown,
    TooManyClients,
)
from services.identity.oauth.rules.errors import ClientUnauthorized, ScopeInvalid
from services.identity.oauth.tokens import Issued
from services.identity.revocations.flow import Board
from services.identity.revocations.store import RevocationStore
from tests.support import partners as made
from tests.support.partners import Partners, app_asked
from tests.support.stores import Stores
from tests.support.told_counters import Bus

WITHIN_S = 5.0
CREDENTIALS = ("grant_type", "client_credentials")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(running_stores: Stores) -> AsyncIterator[Bus]:
    """One database for all: each test has people and apps of its own."""
    made = Bus(running_stores)
    await made.renew()
    yield made
    await made.close()


@pytest.fixture
def partners(shared: Bus) -> Partners:
    return Partners(shared)


async def test_fifty_registrations_at_once_stay_within_the_bound(partners: Partners) -> None:
    owner = await partners.person()
    done = await asyncio.gather(*(partners.app(owner) for _ in range(50)), return_exceptions=True)
    refused = [each for each in done if isinstance(each, BaseException)]
    assert {type(each) for each in refused} == {TooManyClients}
    assert len(done) - len(refused) == rules.MOST_APPS
    found, more = await partners.clients.clients(owner, BEGINNING, 200)
    assert (len(found), more) == (rules.MOST_APPS, False)


async def test_repeats_of_a_registration_make_one_app_whose_secret_is_told_once(
    partners: Partners,
) -> None:
    owner, client_id = await partners.person(), uuid7()
    done = await asyncio.gather(
        *(partners.clients.create(owner, client_id, app_asked()) for _ in range(20))
    )
    assert len({client.client_id for client, _ in done}) == 1
    (secret,) = (secret for _, secret in done if secret)
    assert done[0][0].told == done[1][0].told
    await partners.clients.authenticate({"client_id": str(client_id), "client_secret": secret}, "")
    other = replace(app_asked(), display_name="Another")
    with pytest.raises(RequestIdReused):
        await partners.clients.create(owner, client_id, other)


async def test_who_cannot_be_reached_registers_no_app(partners: Partners) -> None:
    owner = await partners.person()
    partners.unverified.add(owner)
    with pytest.raises(AddressNotVerified):
        await partners.app(owner)


async def test_apps_get_only_scopes_for_apps_and_service_accounts_any(partners: Partners) -> None:
    with pytest.raises(ScopeUnknown):
        await partners.app(scopes=("reports.read",))
    with pytest.raises(ScopeUnknown):
        await partners.service_account(scopes=("nobody.read",))
    client, _ = await partners.service_account(scopes=("reports.read",))
    assert client.told.scopes == ("reports.read",)


async def test_an_update_of_a_stale_etag_is_refused_and_one_of_twins_wins(
    partners: Partners,
) -> None:
    client, _ = await partners.app()
    asked = [replace(app_asked(), display_name=f"Name {number}") for number in range(10)]
    done = await asyncio.gather(
        *(
            partners.clients.update(client.user_id, client.client_id, each, client.version)
            for each in asked
        ),
        return_exceptions=True,
    )
    won = [each for each in done if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert {type(each) for each in done if isinstance(each, BaseException)} == {EtagMismatch}
    with pytest.raises(ClientNotFound):
        await partners.clients.update(await partners.person(), client.client_id, asked[0], None)


async def test_two_secrets_overlap_and_a_third_ends_the_first(partners: Partners) -> None:
    client, first = await partners.service_account()

    async def works(secret: str) -> bool:
        form = {"client_id": str(client.client_id), "client_secret": secret}
        try:
            await partners.clients.authenticate(form, "")
        except OAuthClientInvalid:
            return False
        return True

    _, second = await partners.clients.rotate(client.user_id, client.client_id, timedelta(hours=1))
    assert [await works(each) for each in (first, second)] == [True, True]
    partners.clock.go_on(timedelta(hours=1))
    assert [await works(each) for each in (first, second)] == [False, True]
    _, third = await partners.clients.rotate(client.user_id, client.client_id, timedelta(0))
    assert [await works(each) for each in (first, second, third)] == [False, False, True]


async def test_what_proves_itself_otherwise_gets_no_secret(partners: Partners) -> None:
    client, secret = await partners.app(authentication=Authentication.NONE)
    assert secret == ""
    with pytest.raises(ClientHasNoSecret):
        await partners.clients.rotate(client.user_id, client.client_id, timedelta(0))
    with pytest.raises(ClientKeyInvalid):
        await partners.app(authentication=Authentication.PRIVATE_KEY_JWT)


async def test_a_service_account_speaks_for_itself_and_for_no_person(partners: Partners) -> None:
    client, secret = await partners.service_account(scopes=("reports.read", "profile.read"))
    basic = base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()
    issued = await partners.tokens.issue([CREDENTIALS, ("scope", "reports.read")], f"Basic {basic}")
    assert (issued.refresh_token, issued.expires_in_s) == ("", SERVICE_TOKEN_S)
    user = await partners.user(issued.access_token)
    assert user.is_service
    assert user.name == client.name
    assert user.roles == {"service"}
    assert user.scopes == {"reports.read"}
    partners.clock.go_on(timedelta(seconds=SERVICE_TOKEN_S))
    with pytest.raises(Exception, match="TOKEN_EXPIRED"):
        await partners.user(issued.access_token)


async def test_a_service_account_gets_no_more_than_its_scopes(partners: Partners) -> None:
    client, secret = await partners.service_account(scopes=("profile.read",))
    form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
    with pytest.raises(ScopeInvalid):
        await partners.tokens.issue([*form, ("scope", "profile.read reports.read")], "")
    assert (await partners.tokens.issue(form, "")).scopes == ("profile.read",)


async def test_an_app_gets_no_token_in_its_own_name(partners: Partners) -> None:
    client, secret = await partners.app()
    form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
    with pytest.raises(ClientUnauthorized):
        await partners.tokens.issue(form, "")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"client_secret": ""},
        {"client_secret": "pals_guessed"},
        {"client_id": "nonsense"},
        {"client_id": str(uuid7())},
    ],
)
async def test_a_client_that_proves_nothing_is_refused(
    partners: Partners, form: dict[str, str]
) -> None:
    client, _ = await partners.service_account()
    told = {"client_id": str(client.client_id)} | form
    with pytest.raises(OAuthClientInvalid):
        await partners.tokens.issue([CREDENTIALS, *told.items()], "")


async def test_a_client_proves_itself_in_one_way_only(partners: Partners) -> None:
    client, secret = await partners.service_account()
    basic = base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()
    form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
    with pytest.raises(OAuthRequestInvalid, match="more than one way"):
        await partners.tokens.issue(form, f"Basic {basic}")
    with pytest.raises(OAuthRequestInvalid, match="came twice"):
        await partners.tokens.issue([*form, ("client_secret", secret)], "")


@pytest.mark.parametrize("kind", ["EdDSA", "ES256", "RS256"])
async def test_a_key_proves_a_client_once_even_in_fifty_parallel_requests(
    partners: Partners, kind: str
) -> None:
    key = made.key_pair(kind)
    client, _ = await partners.service_account(
        authentication=Authentication.PRIVATE_KEY_JWT, jwks=(made.public(key),)
    )
    form = [CREDENTIALS, *made.assertion(client, key, partners.clock(), kind)]
    done = await asyncio.gather(
        *(partners.tokens.issue(form, "") for _ in range(50)), return_exceptions=True
    )
    assert len([each for each in done if not isinstance(each, BaseException)]) == 1
    assert {type(each) for each in done if isinstance(each, BaseException)} == {OAuthClientInvalid}
    again = [CREDENTIALS, *made.assertion(client, key, partners.clock(), kind)]
    assert (await partners.tokens.issue(again, "")).access_token


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"iss": str(uuid7())},
        {"exp": None},
        {"exp": 1},
        {"exp": 32503680000},
        {"exp": float("inf")},
        {"exp": True},
        {"iat": 32503680000},
        {"nbf": 32503680000},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 129},
        {"jti": 7},
    ],
)
async def test_an_assertion_that_is_not_whole_proves_nothing(
    partners: Partners, changed: dict[str, Any]
) -> None:
    key = made.key_pair()
    client, _ = await partners.service_account(
        authentication=Authentication.PRIVATE_KEY_JWT, jwks=(made.public(key),)
    )
    form = [CREDENTIALS, *made.assertion(client, key, partners.clock(), **changed)]
    with pytest.raises(OAuthClientInvalid):
        await partners.tokens.issue(form, "")


async def test_another_clients_key_proves_nothing(partners: Partners) -> None:
    key, other = made.key_pair(), made.key_pair()
    client, _ = await partners.service_account(
        authentication=Authentication.PRIVATE_KEY_JWT, jwks=(made.public(key),)
    )
    stranger, secret = await partners.service_account()
    for form in (
        made.assertion(client, other, partners.clock()),
        made.assertion(stranger, key, partners.clock()),
        [*made.assertion(client, key, partners.clock()), ("client_id", str(stranger.client_id))],
        [("client_id", str(client.client_id)), ("client_secret", secret)],
    ):
        with pytest.raises(OAuthClientInvalid):
            await partners.tokens.issue([CREDENTIALS, *form], "")


async def test_an_ended_client_proves_nothing_and_ending_repeats(partners: Partners) -> None:
    client, secret = await partners.service_account()
    await partners.clients.delete(client.user_id, client.client_id)
    await partners.clients.delete(client.user_id, client.client_id)
    await partners.clients.delete(client.user_id, uuid7())
    form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
    with pytest.raises(OAuthClientInvalid):
        await partners.tokens.issue(form, "")
    found, _ = await partners.clients.clients(client.user_id, BEGINNING, 200)
    assert client.client_id not in {each.client_id for each in found}


async def test_used_assertions_are_forgotten_when_nobody_would_take_them(
    partners: Partners,
) -> None:
    key = made.key_pair()
    client, _ = await partners.service_account(
        authentication=Authentication.PRIVATE_KEY_JWT, jwks=(made.public(key),)
    )
    form = [CREDENTIALS, *made.assertion(client, key, partners.clock())]
    await partners.tokens.issue(form, "")
    await partners.clients.forget()
    with pytest.raises(OAuthClientInvalid, match="used before"):
        await partners.tokens.issue(form, "")
    partners.clock.go_on(timedelta(minutes=10))
    await partners.clients.forget()
    with pytest.raises(OAuthClientInvalid, match="is over"):
        await partners.tokens.issue(form, "")


async def test_tokens_of_a_service_account_end_with_what_proved_it_on_open_streams_too(
    partners: Partners,
) -> None:
    async def by_secret(**changed: Any) -> tuple[User, Any]:
        client, secret = await partners.service_account(**changed)
        form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
        return await partners.user((await partners.tokens.issue(form, "")).access_token), client

    flow = partners.clients
    deleted, client = await by_secret()
    await flow.delete(client.user_id, client.client_id)
    rotated, client = await by_secret()
    await flow.rotate(client.user_id, client.client_id, timedelta(0))
    narrowed, client = await by_secret()
    less = replace(app_asked(), about="nightly reports", redirect_uris=(), scopes=("profile.read",))
    await flow.update(client.user_id, client.client_id, less, None)
    overlapped, client = await by_secret()
    await flow.rotate(client.user_id, client.client_id, timedelta(minutes=5))
    renamed, client = await by_secret()
    told = replace(app_asked(), display_name="Other", about="nightly reports", redirect_uris=())
    await flow.update(client.user_id, client.client_id, told, None)
    ended, go_on = (deleted, rotated, narrowed), (overlapped, renamed)
    own = Revocations()
    streams = LiveStreams(own)
    live = [asyncio.create_task(_watches(streams, user)) for user in (*ended, *go_on)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    async with _kept(partners.bus, own):
        done, open_yet = await asyncio.wait(live, timeout=1)
        while len(done) < len(ended):
            assert time.monotonic() - begun < WITHIN_S
            done, open_yet = await asyncio.wait(live, timeout=0.05)
    assert done == set(live[: len(ended)])
    assert all([await each for each in done])
    assert [own.refuses(user) for user in (*ended, *go_on)] == [True] * 3 + [False] * 2
    await end([*open_yet])


async def _watches(streams: LiveStreams, user: User) -> bool:
    """Whether a stream of the user was ended by a revocation."""
    stream = LiveStream(streams)
    try:
        async with stream:
            stream.belongs_to(user)
            await asyncio.Event().wait()
    except TimeoutError:
        return stream.revoked
    return False


@asynccontextmanager
async def _kept(bus: Bus, own: Revocations) -> AsyncIterator[None]:
    """What a process knows to be revoked, as long as the block lasts; all of now is known."""
    board = Board(RevocationStore(bus.publisher, "identity"), own, now, asyncio.Event())
    keeping = asyncio.create_task(board.keep())
    try:
        begun = time.monotonic()
        while not own.is_known:
            assert time.monotonic() - begun < WITHIN_S
            await asyncio.sleep(0.01)
        yield
    finally:
        await end([keeping])


async def test_a_token_issued_while_its_account_ends_is_over_with_it(partners: Partners) -> None:
    for _ in range(10):
        client, secret = await partners.service_account()
        form = [CREDENTIALS, ("client_id", str(client.client_id)), ("client_secret", secret)]
        done = await asyncio.gather(
            *(partners.tokens.issue(form, "") for _ in range(5)),
            partners.clients.delete(client.user_id, client.client_id),
            *(partners.tokens.issue(form, "") for _ in range(5)),
            return_exceptions=True,
        )
        issued = [each for each in done if isinstance(each, Issued)]
        own = Revocations()
        async with _kept(partners.bus, own):
            pass
        for each in issued:
            assert own.refuses(await partners.user(each.access_token))
