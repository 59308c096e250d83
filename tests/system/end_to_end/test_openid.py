"""Signing in to a partner's site with Palestra, over the edge, by a client nobody here wrote."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.athletes import Athlete, Club
from tests.support.foreign_clients import CodeIDToken
from tests.support.partner_apps import Browser, Partner, registered
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack


@pytest.fixture(scope="module")
def partner(athletes: Club) -> Partner:
    scopes = ["openid", "profile", "email", "activities.read"]
    return registered(athletes.register("Partner"), scopes=scopes)


@pytest.fixture
def browser(stack: WholeStack) -> Iterator[Browser]:
    with httpx.Client(base_url=stack.rest_url, timeout=20) as http:
        yield Browser(http)


def test_a_partners_site_signs_people_in_and_learns_what_they_let_it(
    partner: Partner, athlete: Athlete, browser: Browser
) -> None:
    site = partner.stack.rest_url
    metadata = httpx.get(f"{site}/.well-known/openid-configuration").json()
    assert httpx.get(f"{site}/.well-known/oauth-authorization-server").json() == metadata
    assert metadata["issuer"] == site
    assert metadata["jwks_uri"] == f"{site}/.well-known/jwks.json"
    athlete.verify()
    verifier, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    with partner.client() as client:
        client.scope = "openid profile email"
        uri, _ = client.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        browser.open(uri)
        browser.submit("sign-in", email=athlete.email, password=athlete.password)
        assert "Know your e-mail address" in browser.page.text
        browser.submit("allow")
        token = client.fetch_token(
            metadata["token_endpoint"],
            authorization_response=browser.sent_to,
            code_verifier=verifier,
        )
        jwks = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
        decoded = jwt.decode(
            token["id_token"], jwks, algorithms=metadata["id_token_signing_alg_values_supported"]
        )
        wanted = {
            "iss": {"essential": True, "value": metadata["issuer"]},
            "aud": {"essential": True, "value": partner.client_id},
        }
        told = {"nonce": nonce, "client_id": partner.client_id, "max_age": 600}
        claims = CodeIDToken(decoded.claims, decoded.header, wanted, told)
        claims.validate()
        info = client.get(metadata["userinfo_endpoint"])
        assert info.json() == {
            "sub": claims["sub"],
            "name": "Vera",
            "email": athlete.email,
            "email_verified": True,
        }
        assert info.headers["cache-control"] == "no-store"
        assert athlete.user.removeprefix("users/") not in str(token)
        # What signs people in opens nothing of the API, and no ID token is an access token.
        for shown in (token["access_token"], token["id_token"]):
            bearer = {"authorization": f"Bearer {shown}"}
            answer = httpx.get(f"{site}/v1/users/me", headers=bearer)
            assert refusal(answer)[2] == "TOKEN_INVALID"
        renewed = client.refresh_token(metadata["token_endpoint"])
        told = {"token": renewed["access_token"]}
        auth = (partner.client_id, partner.secret)
        seen = httpx.post(metadata["introspection_endpoint"], data=told, auth=auth).json()
        assert (seen["active"], seen["sub"]) == (True, claims["sub"])
        assert httpx.post(metadata["revocation_endpoint"], data=told, auth=auth).is_success
        gone = httpx.post(metadata["introspection_endpoint"], data=told, auth=auth)
        assert gone.json() == {"active": False}
        bearer = {"authorization": f"Bearer {renewed['access_token']}"}
        ended = httpx.get(metadata["userinfo_endpoint"], headers=bearer)
        assert ended.status_code == httpx.codes.UNAUTHORIZED


def test_userinfo_and_introspection_say_what_is_wrong_as_the_standards_do(
    partner: Partner, athlete: Athlete
) -> None:
    site = partner.stack.rest_url
    for headers, status, error in (
        ({}, 401, None),
        ({"authorization": "Basic eDp5"}, 401, "invalid_token"),
        ({"authorization": "Bearer nonsense"}, 401, "invalid_token"),
        ({"authorization": f"Bearer {'x' * 9000}"}, 401, "invalid_token"),
        ({"authorization": f"Bearer {athlete.token}"}, 403, "insufficient_scope"),
    ):
        answer = httpx.get(f"{site}/oauth2/userinfo", headers=headers)
        assert answer.status_code == status, headers
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert (error or "error") in challenge or error is None
        assert answer.content == b""
    query = urlencode({"access_token": athlete.token})
    assert httpx.get(f"{site}/oauth2/userinfo?{query}").status_code == httpx.codes.UNAUTHORIZED
    for sent, status, code in (
        ({"data": {"token": "x"}}, 401, "invalid_client"),
        ({"data": {"token": "x"}, "auth": (partner.client_id, "guessed")}, 401, "invalid_client"),
        ({"data": {}, "auth": (partner.client_id, partner.secret)}, 400, "invalid_request"),
    ):
        refused = httpx.post(f"{site}/oauth2/introspect", **sent)
        assert (refused.status_code, refused.json()["error"]) == (status, code), sent
