"""Codes, grants and tokens of apps of others: stolen, mixed up, replayed, at once."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Uuid, bindparam, func, insert, select

from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Statement
from services.identity.blocks.flow import BlockFlow
from services.identity.blocks.store import BlockStore
from services.identity.clients.rules.clients import Authentication
from services.identity.clients.rules.errors import OAuthClientInvalid, OAuthRequestInvalid
from services.identity.clients.subjects import SUBJECTS as CLIENT_SUBJECTS
from services.identity.oauth.flow import Decision, Step
from services.identity.oauth.rules import codes
from services.identity.oauth.rules.codes import GrantState
from services.identity.oauth.rules.errors import (
    BrowserSignedOut,
    ClientUnauthorized,
    GrantInvalid,
    GrantTypeUnsupported,
    RequestRefused,
    ScopeInvalid,
)
from services.identity.roles.rules import OPERATOR
from services.identity.sessions.rules import RETRY_GRACE, AccountBlocked, RefreshTokenInvalid
from services.identity.tables.clients import CLIENTS
from services.identity.tables.revocations import STANDINGS
from tests.support.partners import ISSUER, REDIRECT, Partners, Request, answer, app_asked
from tests.support.stores import Stores
from tests.support.told_counters import Bus

BOTH = "activities.read profile.read"
NOWHERE: Any = None
"""Where rows lie the erasing of them need not be told."""
_CLIENTS = Statement(
    select(func.count())
    .select_from(CLIENTS)
    .where(CLIENTS.c.client_id == bindparam("of_client", type_=Uuid()))
)


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


async def test_a_code_gives_a_token_that_may_what_the_person_agreed_to(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    cookie = await partners.browser(vera, frozenset({"pwd", "otp", "mfa"}))
    proved_at = int(partners.clock().timestamp())
    partners.clock.go_on(timedelta(hours=1))
    request = Request(client)
    told = answer(await partners.oauth.decide(request.pairs, cookie, Decision.ALLOW))
    assert (told["state"], told["iss"]) == ("of-the-app", ISSUER)
    issued = await partners.exchange(request, told["code"], secret)
    user = await partners.user(issued.access_token)
    assert (user.id, user.client) == (vera, str(client.client_id))
    assert user.scopes == {"activities.read"}
    # What apps of others do is never done with a role, and tells when the person was there.
    assert user.roles == frozenset()
    assert user.auth_time_s == proved_at


async def test_fifty_exchanges_of_a_code_have_one_winner_and_what_it_got_is_over(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    before = await partners.live_sessions()
    code = await partners.code(client, cookie, request)
    done = await asyncio.gather(
        *(partners.exchange(request, code, secret) for _ in range(50)), return_exceptions=True
    )
    (won,) = [each for each in done if not isinstance(each, BaseException)]
    assert {type(each) for each in done if isinstance(each, BaseException)} == {GrantInvalid}
    assert await partners.live_sessions() == before
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, won.refresh_token, secret)


async def test_a_code_shown_again_within_a_day_ends_what_it_gave(partners: Partners) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    issued = await partners.exchange(request, code, secret)
    issued = await partners.refresh(client, issued.refresh_token, secret)
    partners.clock.go_on(timedelta(hours=2))
    with pytest.raises(GrantInvalid):
        await partners.exchange(request, code, secret)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "a" * 43},
        {"code_verifier": "short"},
        {"redirect_uri": "https://partner.example/back/"},
        {"redirect_uri": ""},
        {"code": "nonsense"},
        {"code": base64.urlsafe_b64encode(bytes(64)).decode()},
    ],
)
async def test_a_stolen_code_is_worth_nothing_and_still_serves_its_app(
    partners: Partners, changed: dict[str, str]
) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    with pytest.raises(GrantInvalid):
        await partners.exchange(request, code, secret, **changed)
    assert (await partners.exchange(request, code, secret)).access_token


async def test_a_code_of_one_app_is_none_of_anothers(partners: Partners) -> None:
    client, _ = await partners.app()
    other, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    with pytest.raises(GrantInvalid):
        await partners.exchange(Request(other, request.verifier), code, secret)


async def test_a_code_of_one_person_with_anothers_number_in_it_is_none(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    ticket = codes.Ticket.parse(code)
    assert ticket is not None
    for forged in (
        replace(ticket, user_id=await partners.person()),
        replace(ticket, id=uuid7()),
        replace(ticket, secret=bytes(32)),
    ):
        with pytest.raises(GrantInvalid):
            await partners.exchange(request, forged.text, secret)


async def test_a_code_is_over_after_a_minute(partners: Partners) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    partners.clock.go_on(codes.CODE_LIFETIME + timedelta(seconds=1))
    with pytest.raises(GrantInvalid):
        await partners.exchange(request, code, secret)


async def test_an_app_without_a_secret_needs_its_verifier_and_nothing_else(
    partners: Partners,
) -> None:
    client, _ = await partners.app(authentication=Authentication.NONE)
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    with pytest.raises(OAuthRequestInvalid, match="code_verifier is missing"):
        await partners.exchange(request, code, "", code_verifier="")
    issued = await partners.exchange(request, code, "")
    form = {"client_id": str(client.client_id), "refresh_token": issued.refresh_token}
    again = await partners.tokens.issue([("grant_type", "refresh_token"), *form.items()], "")
    assert again.refresh_token != issued.refresh_token
    with pytest.raises(OAuthClientInvalid):
        await partners.exchange(request, code, "a-secret-it-never-had")


@pytest.mark.parametrize(
    ("more", "without", "error"),
    [
        ((), {"response_type"}, "invalid_request"),
        ((("response_type", "token"),), {"response_type"}, "unsupported_response_type"),
        ((), {"code_challenge_method"}, "invalid_request"),
        ((("code_challenge_method", "plain"),), {"code_challenge_method"}, "invalid_request"),
        ((), {"code_challenge"}, "invalid_request"),
        ((), {"code_challenge", "code_challenge_method"}, "invalid_request"),
        ((("scope", "profile.write"),), {"scope"}, "invalid_scope"),
        ((), {"scope"}, "invalid_scope"),
        ((("scope", "profile.read"),), set(), "invalid_request"),
        ((("request_uri", "https://evil.example"),), set(), "request_uri_not_supported"),
        ((("request", "e30."),), set(), "request_not_supported"),
        ((("response_mode", "fragment"),), set(), "invalid_request"),
        ((("prompt", "none login"),), set(), "invalid_request"),
        ((("max_age", "-1"),), set(), "invalid_request"),
        ((("prompt", "none"),), set(), "login_required"),
    ],
)
async def test_what_is_wrong_with_a_request_the_app_hears_by_redirect(
    partners: Partners, more: tuple[tuple[str, str], ...], without: set[str], error: str
) -> None:
    client, _ = await partners.app()
    request = Request(client, more=more, without=frozenset(without))
    told = await partners.oauth.describe(request.pairs, "")
    assert told.step is Step.REDIRECT
    assert told.redirect_uri.startswith(REDIRECT)
    assert answer(told.redirect_uri)["error"] == error
    assert answer(told.redirect_uri)["iss"] == ISSUER


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/back",
        "https://partner.example/back/../elsewhere",
        "https://partner.example/back?to=evil",
        "https://partner.example:8443/back",
        "https://partner.example.evil.example/back",
        "https://partner.example@evil.example/back",
        "http://partner.example/back",
        "https://PARTNER.example/back",
        "javascript:alert(1)",
        "//evil.example",
        "",
    ],
)
async def test_nobody_is_sent_where_the_app_did_not_register(partners: Partners, uri: str) -> None:
    client, _ = await partners.app(redirect_uris=(REDIRECT, "https://partner.example/other"))
    cookie = await partners.browser(await partners.person())
    request = Request(client, redirect_uri=uri, more=(("response_type", "token"),))
    told = await partners.oauth.describe(request.pairs, cookie)
    assert (told.step, told.redirect_uri) == (Step.REFUSE, "")
    with pytest.raises(RequestRefused):
        await partners.oauth.decide(request.pairs, cookie, Decision.ALLOW)


async def test_a_doubled_client_or_address_sends_nobody_anywhere(partners: Partners) -> None:
    client, _ = await partners.app()
    other, _ = await partners.app()
    for more in (("client_id", str(other.client_id)), ("redirect_uri", "https://evil.example")):
        told = await partners.oauth.describe(Request(client, more=(more,)).pairs, "")
        assert (told.step, told.redirect_uri) == (Step.REFUSE, "")


async def test_the_port_of_a_loopback_address_may_differ_and_nothing_else(
    partners: Partners,
) -> None:
    client, _ = await partners.app(
        redirect_uris=("http://127.0.0.1/back",), authentication=Authentication.NONE
    )
    for uri, step in (
        ("http://127.0.0.1:51004/back", Step.SIGN_IN),
        ("http://127.0.0.1:51004/elsewhere", Step.REFUSE),
        ("http://127.0.0.1:80@evil.example/back", Step.REFUSE),
        ("http://localhost:51004/back", Step.REFUSE),
        ("https://127.0.0.1:51004/back", Step.REFUSE),
    ):
        told = await partners.oauth.describe(Request(client, redirect_uri=uri).pairs, "")
        assert told.step is step, uri


async def test_a_yes_is_remembered_for_as_much_and_no_more(partners: Partners) -> None:
    client, _ = await partners.app()
    cookie = await partners.browser(await partners.person())

    async def step(**changed: object) -> Step:
        request = replace(Request(client), **changed)  # type: ignore[arg-type]
        return (await partners.oauth.describe(request.pairs, cookie)).step

    assert await step() is Step.CONSENT
    await partners.code(client, cookie)
    assert await step() is Step.GRANTED
    assert await step(scope=BOTH) is Step.CONSENT
    assert await step(more=(("prompt", "consent"),)) is Step.CONSENT
    uri = await partners.oauth.decide(Request(client, scope=BOTH).pairs, cookie, Decision.AS_BEFORE)
    assert answer(uri)["error"] == "consent_required"


async def test_a_second_yes_grants_nothing_of_what_others_granted_or_to_others(
    partners: Partners,
) -> None:
    (client, _), (another, _) = await partners.app(), await partners.app()
    mine, theirs = [await partners.browser(await partners.person()) for _ in range(2)]
    await partners.code(client, theirs, Request(client, scope=BOTH))
    await partners.code(another, mine, Request(another, scope=BOTH))
    for _ in range(2):
        await partners.code(client, mine)
    described = await partners.oauth.describe(Request(client, scope=BOTH).pairs, mine)
    assert described.step is Step.CONSENT


async def test_a_yes_to_what_could_be_posed_as_is_asked_for_each_time(partners: Partners) -> None:
    uri = "com.example.app:/back"
    client, _ = await partners.app(redirect_uris=(uri,), authentication=Authentication.NONE)
    cookie = await partners.browser(await partners.person())
    request = Request(client, redirect_uri=uri)
    await partners.code(client, cookie, request)
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.CONSENT


async def test_a_no_gives_nothing(partners: Partners) -> None:
    client, _ = await partners.app()
    vera = await partners.person()
    cookie = await partners.browser(vera)
    uri = await partners.oauth.decide(Request(client).pairs, cookie, Decision.DENY)
    assert answer(uri)["error"] == "access_denied"
    assert await partners.oauth.grants(vera) == []


async def test_an_old_sign_in_is_asked_for_again_where_the_app_says_so(
    partners: Partners,
) -> None:
    client, _ = await partners.app()
    cookie = await partners.browser(await partners.person())
    request = Request(client, more=(("max_age", "60"),))
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.CONSENT
    partners.clock.go_on(timedelta(seconds=61))
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.SIGN_IN
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.decide(request.pairs, cookie, Decision.ALLOW)


@pytest.mark.parametrize("cookie", ["", "nonsense", base64.b64encode(bytes(64)).decode()])
async def test_nobody_agrees_who_is_not_signed_in(partners: Partners, cookie: str) -> None:
    client, _ = await partners.app()
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.decide(Request(client).pairs, cookie, Decision.ALLOW)


async def test_a_browser_is_signed_out_when_its_session_ends(partners: Partners) -> None:
    client, _ = await partners.app()
    vera = await partners.person()
    cookies = [await partners.browser(vera) for _ in range(2)]
    await partners.oauth.sign_out(cookies[0])
    await partners.oauth.sign_out(cookies[0])
    await partners.code(client, cookies[1])
    await partners.sessions.end_all(vera, "password changed")
    for cookie in cookies:
        with pytest.raises(BrowserSignedOut):
            await partners.oauth.browser(cookie)


async def test_the_oldest_browsers_of_a_person_go_first(partners: Partners) -> None:
    vera = await partners.person()
    cookies = []
    for _ in range(codes.MOST_BROWSERS + 1):
        cookies.append(await partners.browser(vera))
        partners.clock.go_on(timedelta(seconds=1))
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.browser(cookies[0])
    for cookie in cookies[1:]:
        await partners.oauth.browser(cookie)


async def test_a_refresh_gets_no_more_than_was_granted_and_a_refusal_costs_nothing(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    with pytest.raises(ScopeInvalid):
        await partners.refresh(client, issued.refresh_token, secret, scope=BOTH)
    again = await partners.refresh(client, issued.refresh_token, secret)
    assert again.scopes == ("activities.read",)


async def test_a_stolen_refresh_token_serves_neither_another_app_nor_our_own_endpoint(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    other, others = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    with pytest.raises(GrantInvalid):
        await partners.refresh(other, issued.refresh_token, others)
    with pytest.raises(RefreshTokenInvalid):
        await partners.sessions.refresh(issued.refresh_token)
    await partners.sessions.logout(issued.refresh_token)
    assert (await partners.refresh(client, issued.refresh_token, secret)).access_token
    own = await partners.sessions.open(await partners.person(), amr=frozenset({"pwd"}))
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, own.refresh_token, secret)


async def test_a_refresh_token_reused_after_the_grace_ends_what_was_granted(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    first = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    done = await asyncio.gather(
        *(partners.refresh(client, first.refresh_token, secret) for _ in range(50))
    )
    (second,) = {each.refresh_token for each in done}
    partners.clock.go_on(RETRY_GRACE + timedelta(seconds=1))
    for token in (first.refresh_token, second):
        with pytest.raises(GrantInvalid):
            await partners.refresh(client, token, secret)


async def test_a_grant_taken_back_ends_the_apps_tokens_and_no_others(partners: Partners) -> None:
    client, secret = await partners.app()
    other, others = await partners.app()
    vera = await partners.person()
    cookie = await partners.browser(vera)
    request, kept = Request(client), Request(other)
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    stays = await partners.exchange(kept, await partners.code(other, cookie, kept), others)
    pending = await partners.code(client, cookie, request)
    await partners.oauth.revoke(vera, client.client_id)
    await partners.oauth.revoke(vera, client.client_id)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    assert (await partners.refresh(other, stays.refresh_token, others)).access_token
    assert [each.client_id for each in await partners.oauth.grants(vera)] == [other.client_id]
    # What a code that was on its way gives is over at once.
    late = await partners.exchange(request, pending, secret)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, late.refresh_token, secret)


async def test_what_an_app_may_no_longer_ask_for_ends_what_it_had(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    cookie = await partners.browser(vera)
    request = Request(client, scope=BOTH)
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    less = replace(app_asked(), scopes=("activities.read",))
    await partners.clients.update(client.user_id, client.client_id, less, None)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    assert len(await partners.oauth.grants(vera)) == 1


async def test_the_end_of_an_app_is_the_end_of_all_it_was_granted(partners: Partners) -> None:
    client, secret = await partners.app()
    people = [await partners.person() for _ in range(3)]
    request = Request(client)
    before = await partners.live_sessions()
    for person in people:
        cookie = await partners.browser(person)
        await partners.exchange(request, await partners.code(client, cookie, request), secret)
    await partners.clients.delete(client.user_id, client.client_id)
    assert await partners.live_sessions() == before + len(people)
    for person in people:
        # What has ended is told for a while, by the name that the person knew.
        (grant,) = await partners.oauth.grants(person)
        assert (grant.state, grant.app_name) == (GrantState.ENDED, "Partner")
    partners.clock.go_on(codes.ENDED_GRANTS_KEPT + timedelta(seconds=1))
    await partners.oauth.forget()
    assert [await partners.oauth.grants(person) for person in people] == [[], [], []]
    assert (await partners.oauth.describe(request.pairs, "")).step is Step.REFUSE


async def test_an_app_revokes_its_own_tokens_and_nobody_elses(partners: Partners) -> None:
    client, secret = await partners.app()
    other, others = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())

    async def revoke(app: uuid.UUID, shown: str, token: str) -> None:
        form = {"client_id": str(app), "client_secret": shown, "token": token}
        await partners.tokens.revoke(list(form.items()), "")

    for attribute in ("refresh_token", "access_token"):
        code = await partners.code(client, cookie, request)
        issued = await partners.exchange(request, code, secret)
        await revoke(other.client_id, others, getattr(issued, attribute))
        issued = await partners.refresh(client, issued.refresh_token, secret)
        await revoke(client.client_id, secret, getattr(issued, attribute))
        await revoke(client.client_id, secret, getattr(issued, attribute))
        with pytest.raises(GrantInvalid):
            await partners.refresh(client, issued.refresh_token, secret)
    await revoke(client.client_id, secret, "nonsense")
    with pytest.raises(OAuthClientInvalid):
        await revoke(client.client_id, "guessed", "nonsense")


async def test_codes_of_a_person_are_bounded_and_old_ones_make_room(partners: Partners) -> None:
    client, _ = await partners.app()
    cookie = await partners.browser(await partners.person())
    request = Request(client)
    done = await asyncio.gather(
        *(partners.oauth.decide(request.pairs, cookie, Decision.ALLOW) for _ in range(50))
    )
    given = [each for each in done if "code" in answer(each)]
    assert len(given) == codes.MOST_CODES
    partners.clock.go_on(codes.CODE_LIFETIME + timedelta(seconds=1))
    await partners.code(client, cookie, request)


async def test_a_service_account_asks_no_person_and_a_grant_type_is_one_of_ours(
    partners: Partners,
) -> None:
    client, secret = await partners.service_account()
    told = await partners.oauth.describe(Request(client).pairs, "")
    assert told.step is Step.REFUSE
    form = [("client_id", str(client.client_id)), ("client_secret", secret)]
    with pytest.raises(ClientUnauthorized):
        await partners.tokens.issue([("grant_type", "refresh_token"), *form], "")
    for kind in ("password", "implicit", "urn:ietf:params:oauth:grant-type:device_code"):
        with pytest.raises(GrantTypeUnsupported):
            await partners.tokens.issue([("grant_type", kind), *form], "")


async def test_what_is_over_is_forgotten(partners: Partners) -> None:
    client, secret = await partners.app()
    request, cookie = Request(client), await partners.browser(await partners.person())
    code = await partners.code(client, cookie, request)
    await partners.exchange(request, code, secret)
    partners.clock.go_on(codes.BROWSER_LIFETIME + timedelta(seconds=1))
    await partners.oauth.forget()
    ticket = codes.Ticket.parse(code)
    assert ticket is not None
    assert await partners.oauth.store.code(ticket.user_id, ticket.id) is None
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.browser(cookie)


async def test_the_apps_of_somebody_erased_end_and_leave_nothing_of_him(partners: Partners) -> None:
    owner = await partners.person("Owner")
    client, secret = await partners.app(owner)
    vera = await partners.person()
    request, cookie = Request(client), await partners.browser(vera)
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    async with partners.bus.publisher.transaction() as session:
        (erased,) = (await CLIENT_SUBJECTS[0].erase(NOWHERE, session, owner, 100)).values()
    assert erased == 1
    # From that instant on it is out of use, and soon nothing is left of what it had.
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.REFUSE
    with pytest.raises(OAuthClientInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    (grant,) = await partners.oauth.grants(vera)
    assert (grant.state, grant.app_name, grant.homepage) == (GrantState.ENDED, "", "")
    for _ in range(2):
        await partners.clients.finish()
    assert await partners.sessions.store.of_client(str(client.client_id), None, 10) == []
    (grant,) = await partners.oauth.grants(vera)
    assert (grant.state, grant.app_name) == (GrantState.ENDED, "")
    row = await partners.bus.publisher.row(_CLIENTS, {"of_client": client.client_id})
    assert row == (0,)


async def test_the_apps_of_somebody_blocked_stop_until_he_is_not(partners: Partners) -> None:
    owner, vera = await partners.person("Owner"), await partners.person()
    client, secret = await partners.app(owner)
    request, cookie = Request(client), await partners.browser(vera)
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    blocked = {
        "user_id": owner,
        "generation": 0,
        "blocked_at": partners.clock(),
        "blocked_until": partners.clock() + timedelta(minutes=30),
    }
    await partners.bus.publisher.run(Statement(insert(STANDINGS).values(blocked)), {})
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.REFUSE
    with pytest.raises(OAuthClientInvalid, match="suspended"):
        await partners.refresh(client, issued.refresh_token, secret)
    (grant,) = await partners.oauth.grants(vera)
    assert (grant.state, grant.app_name) == (GrantState.SUSPENDED, "Partner")
    assert len(await partners.sessions.store.of_client(str(client.client_id), None, 10)) == 1
    await partners.clients.finish()
    assert await partners.sessions.store.of_client(str(client.client_id), None, 10) == []
    partners.clock.go_on(timedelta(minutes=31))
    (grant,) = await partners.oauth.grants(vera)
    assert grant.state is GrantState.ACTIVE
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.GRANTED


async def test_no_app_acts_for_somebody_who_is_kept_out(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    request, cookie = Request(client), await partners.browser(vera)
    issued = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    waiting = await partners.code(client, cookie, request)
    keeping_out = BlockFlow(BlockStore(partners.bus.publisher), 900, partners.clock)
    await keeping_out.block(OPERATOR, vera, "shouts", None)
    with pytest.raises(GrantInvalid):
        await partners.exchange(request, waiting, secret)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.decide(request.pairs, cookie, Decision.ALLOW)
    with pytest.raises(AccountBlocked):
        await partners.browser(vera)
    await keeping_out.unblock(OPERATOR, vera, "quiet")
    # What there was before stays over; he agrees anew.
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    cookie = await partners.browser(vera)
    again = await partners.exchange(request, await partners.code(client, cookie, request), secret)
    assert (await partners.user(again.access_token)).generation == 1


async def test_what_is_new_is_agreed_to_by_who_has_signed_in_lately(partners: Partners) -> None:
    client, _ = await partners.app()
    cookie = await partners.browser(await partners.person())
    request = Request(client)
    partners.clock.go_on(codes.CONSENT_FRESH)
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.CONSENT
    partners.clock.go_on(timedelta(seconds=1))
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.SIGN_IN
    # Who was shown it before may finish reading.
    await partners.code(client, cookie, request)
    assert (await partners.oauth.describe(request.pairs, cookie)).step is Step.GRANTED
    partners.clock.go_on(codes.READING)
    more = Request(client, scope=BOTH)
    with pytest.raises(BrowserSignedOut):
        await partners.oauth.decide(more.pairs, cookie, Decision.ALLOW)
    uri = await partners.oauth.decide(request.pairs, cookie, Decision.AS_BEFORE)
    assert "code" in answer(uri)
