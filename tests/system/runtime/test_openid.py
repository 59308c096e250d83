"""Signing in elsewhere with Palestra: who an app is told came, by what number, and no more."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from joserfc import jwt

from mesh.runtime import tokens as runtime
from mesh.runtime.errors import MeshError
from services.identity.clients.rules.clients import Authentication, Client
from services.identity.clients.rules.errors import OAuthClientInvalid
from services.identity.oauth.flow import Decision, Step
from services.identity.oauth.rules.errors import ClientUnauthorized, GrantInvalid, ScopeInvalid
from services.identity.oauth.rules.requests import LONGEST_NONCE
from services.identity.oauth.tokens import Issued
from services.identity.sessions.rules import RETRY_GRACE
from tests.support.partners import ISSUER, Partners, Request, answer
from tests.support.stores import Stores
from tests.support.told_counters import Bus

ALONE = "openid profile email"

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


async def signed_in(
    partners: Partners, person: uuid.UUID, client: Client, secret: str, scope: str, **more: str
) -> tuple[Issued, str]:
    """What an app gets of a person, and the code that it got it for."""
    request = Request(client, scope=scope, more=tuple(more.items()))
    cookie = await partners.browser(person, frozenset({"pwd", "otp", "mfa"}))
    code = await partners.code(client, cookie, request)
    return await partners.exchange(request, code, secret), code


async def claims_of(partners: Partners, id_token: str) -> dict[str, Any]:
    keys = runtime.key_set(await partners.tokens.keys.public_keys())
    decoded = jwt.decode(id_token, keys, algorithms=["EdDSA"])
    assert decoded.header["typ"] == "JWT"
    found: dict[str, Any] = decoded.claims
    return found


async def test_an_id_token_says_who_signed_in_when_and_how(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    at_s = int(partners.clock().timestamp())
    issued, _ = await signed_in(partners, vera, client, secret, ALONE, nonce="of-the-app")
    claims = await claims_of(partners, issued.id_token)
    info = await partners.openid.user_info(issued.access_token)
    assert claims == {
        "iss": ISSUER,
        "sub": info.subject,
        "aud": str(client.client_id),
        "iat": at_s,
        "exp": at_s + 600,
        "auth_time": at_s,
        "amr": ["mfa", "otp", "pwd"],
        "nonce": "of-the-app",
    }
    assert (info.name, info.email) == (f"Name of {vera}", f"{vera}@example.com")
    # Without a nonce none is made up, and without `openid` there is no ID token.
    issued, _ = await signed_in(partners, vera, client, secret, "openid")
    assert "nonce" not in await claims_of(partners, issued.id_token)
    issued, _ = await signed_in(partners, vera, client, secret, "activities.read")
    assert issued.id_token == ""


async def test_a_person_has_one_number_in_the_apps_of_one_maker_and_others_elsewhere(
    partners: Partners,
) -> None:
    maker, vera, paul = [await partners.person(name) for name in ("Maker", "Vera", "Paul")]
    first, second = [await partners.app(maker) for _ in range(2)]
    other = await partners.app()

    async def number(person: uuid.UUID, app: tuple[Client, str]) -> str:
        issued, _ = await signed_in(partners, person, *app, "openid")
        return (await partners.openid.user_info(issued.access_token)).subject

    veras = await number(vera, first)
    assert await number(vera, first) == await number(vera, second) == veras
    assert len({veras, await number(vera, other), await number(paul, first)}) == 3
    # A grant that was taken back and given again is of the same person.
    await partners.oauth.revoke(vera, first[0].client_id)
    assert await number(vera, first) == veras
    # Its makers may rename it and move it: the number stays.
    moved = replace(first[0].told, redirect_uris=("https://new.example/back",))
    kept = await partners.clients.store.update(replace(first[0], told=moved), None)
    assert kept is not None
    assert kept.sector == first[0].sector


async def test_nothing_that_an_app_gets_which_only_signs_in_shows_the_account(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    issued, code = await signed_in(partners, vera, client, secret, ALONE)
    again = await partners.refresh(client, issued.refresh_token, secret)
    texts = (code, issued.access_token, issued.refresh_token, issued.id_token)
    for text in (*texts, again.access_token, again.refresh_token):
        for part in text.removeprefix("p.").split("."):
            packed = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            assert vera.bytes not in packed
            assert str(vera).encode() not in packed
    # They still serve as they should, and a lost answer is given again.
    lost = await partners.refresh(client, issued.refresh_token, secret)
    assert (await partners.openid.user_info(lost.access_token)).subject
    assert (await partners.openid.user_info(again.access_token)).email
    partners.clock.go_on(RETRY_GRACE + timedelta(seconds=1))
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
    with pytest.raises(GrantInvalid):
        await partners.openid.user_info(again.access_token + "A")
    for wrong in ("p.", "p.nonsense", "p." + "A" * 200, again.refresh_token):
        with pytest.raises(GrantInvalid):
            await partners.openid.user_info(wrong)


async def test_an_id_token_is_no_access_token_and_the_other_way_round(partners: Partners) -> None:
    client, secret = await partners.app()
    scope = "openid activities.read"
    issued, _ = await signed_in(partners, await partners.person(), client, secret, scope)
    with pytest.raises(MeshError) as refused:
        await partners.user(issued.id_token)
    assert refused.value.reason == "TOKEN_INVALID"
    with pytest.raises(GrantInvalid):
        await partners.openid.user_info(issued.id_token)
    assert (await partners.user(issued.access_token)).scopes == {"openid", "activities.read"}
    assert (
        json.loads(base64.urlsafe_b64decode(issued.access_token.split(".")[0] + "=="))["typ"]
        == "at+jwt"
    )


async def test_an_app_is_told_no_more_than_it_was_let_know(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    issued, _ = await signed_in(partners, vera, client, secret, "openid")
    info = await partners.openid.user_info(issued.access_token)
    assert (info.name, info.email) == (None, None)
    issued, _ = await signed_in(partners, vera, client, secret, "openid email")
    assert (await partners.openid.user_info(issued.access_token)).name is None
    # An address that nobody has proved is none.
    partners.unverified.add(vera)
    assert not (await partners.openid.user_info(issued.access_token)).email
    issued, _ = await signed_in(partners, vera, client, secret, "activities.read")
    with pytest.raises(ScopeInvalid):
        await partners.openid.user_info(issued.access_token)
    own = await partners.sessions.open(vera, amr=frozenset({"pwd"}), scopes=frozenset({"x.read"}))
    with pytest.raises(ScopeInvalid):
        await partners.openid.user_info(own.access_token)


@pytest.mark.parametrize(
    ("scope", "more", "error"),
    [
        ("email", (), "invalid_scope"),
        ("profile activities.read", (), "invalid_scope"),
        ("openid", (("nonce", "n" * (LONGEST_NONCE + 1)),), "invalid_request"),
        ("openid", (("nonce", "one"), ("nonce", "two")), "invalid_request"),
    ],
)
async def test_what_cannot_be_meant_the_app_hears_of(
    partners: Partners, scope: str, more: tuple[tuple[str, str], ...], error: str
) -> None:
    client, _ = await partners.app()
    told = await partners.oauth.describe(Request(client, scope=scope, more=more).pairs, "")
    assert told.step is Step.REDIRECT
    assert answer(told.redirect_uri)["error"] == error


async def test_an_app_asks_what_its_own_tokens_are_worth_and_nobody_elses(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    other, other_secret = await partners.app()
    vera = await partners.person()

    async def asked(token: str, by: Client = client, with_: str = secret) -> Any:
        form = {"token": token, "client_id": str(by.client_id), "client_secret": with_}
        return await partners.introspection.introspect(list(form.items()), "")

    for scope in ("activities.read openid", "openid"):
        issued, _ = await signed_in(partners, vera, client, secret, scope)
        access, refresh = [
            await asked(each) for each in (issued.access_token, issued.refresh_token)
        ]
        assert (access.is_access, refresh.is_access) == (True, False)
        assert access.subject == refresh.subject != str(vera)
        assert set(access.scopes) == set(refresh.scopes) == set(scope.split())
        for token in (issued.access_token, issued.refresh_token):
            assert await asked(token, other, other_secret) is None
            with pytest.raises(OAuthClientInvalid):
                await asked(token, client, "guessed")
        # Asking uses nothing, and what has had its turn is worth nothing and ends nothing.
        after = await partners.refresh(client, issued.refresh_token, secret)
        partners.clock.go_on(RETRY_GRACE + timedelta(seconds=1))
        assert await asked(issued.refresh_token) is None
        assert await asked(after.refresh_token) is not None
        await partners.oauth.revoke(vera, client.client_id)
        assert await asked(after.refresh_token) is None
    issued, _ = await signed_in(partners, vera, client, secret, "openid")
    for nonsense in ("nonsense", "p.nonsense", issued.id_token):
        assert await asked(nonsense) is None
    open_app, _ = await partners.app(authentication=Authentication.NONE)
    form = [("token", "x"), ("client_id", str(open_app.client_id))]
    with pytest.raises(ClientUnauthorized):
        await partners.introspection.introspect(form, "")


async def test_a_sealed_token_is_revoked_like_any_other(partners: Partners) -> None:
    client, secret = await partners.app()
    vera = await partners.person()
    for which in ("access_token", "refresh_token"):
        issued, _ = await signed_in(partners, vera, client, secret, "openid")
        form = {
            "token": getattr(issued, which),
            "client_id": str(client.client_id),
            "client_secret": secret,
        }
        await partners.tokens.revoke(list(form.items()), "")
        with pytest.raises(GrantInvalid):
            await partners.refresh(client, issued.refresh_token, secret)


async def test_a_sealed_code_serves_once_and_its_replay_ends_what_it_gave(
    partners: Partners,
) -> None:
    client, secret = await partners.app()
    request = Request(client, scope="openid")
    cookie = await partners.browser(await partners.person())
    uri = await partners.oauth.decide(request.pairs, cookie, Decision.ALLOW)
    code = answer(uri)["code"]
    issued = await partners.exchange(request, code, secret)
    with pytest.raises(GrantInvalid):
        await partners.exchange(request, code, secret)
    with pytest.raises(GrantInvalid):
        await partners.refresh(client, issued.refresh_token, secret)
