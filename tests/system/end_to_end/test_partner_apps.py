"""A partner's app against the real edge: authlib's client, a browser without scripts, a person."""

from __future__ import annotations

import asyncio
import html
import re
import secrets
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support import administrators, shops
from tests.support.athletes import Athlete, Club
from tests.support.partner_apps import REDIRECT, Browser, Partner, registered
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack


@pytest.fixture
def partner(athletes: Club) -> Partner:
    return registered(athletes.register("Partner"))


@pytest.fixture
def browser(stack: WholeStack) -> Iterator[Browser]:
    with httpx.Client(base_url=stack.rest_url, timeout=10) as http:
        yield Browser(http)


def test_an_app_somebody_else_wrote_gets_what_the_person_agreed_to_and_no_more(
    partner: Partner, athlete: Athlete, browser: Browser
) -> None:
    verifier = secrets.token_urlsafe(32)
    with partner.client() as client:
        uri, state = client.create_authorization_url(partner.authorize_uri, code_verifier=verifier)
        browser.open(uri)
        assert browser.page.status_code == httpx.codes.OK
        browser.submit("sign-in", email=athlete.email, password=athlete.password)
        assert "See your workouts" in browser.page.text
        assert "Stride &amp; &lt;b&gt;" in browser.page.text
        browser.submit("allow")
        assert browser.sent_to.startswith(f"{REDIRECT}?")
        told = dict(parse_qsl(urlsplit(browser.sent_to).query))
        metadata = httpx.get(
            f"{partner.stack.rest_url}/.well-known/oauth-authorization-server"
        ).json()
        assert (told["state"], told["iss"]) == (state, metadata["issuer"])
        assert metadata["token_endpoint"] == partner.token_uri
        token = client.fetch_token(
            partner.token_uri, authorization_response=browser.sent_to, code_verifier=verifier
        )
        assert token["token_type"] == "Bearer"
        mine = client.get(f"{partner.stack.rest_url}/v1/users/me")
        assert mine.json()["profile"]["name"] == athlete.user
        assert client.get(f"{partner.stack.rest_url}/v1/users/me/activities").is_success
        for verb, path in (("GET", "devices"), ("GET", "apps"), ("GET", "grants")):
            answer = client.request(verb, f"{partner.stack.rest_url}/v1/users/me/{path}")
            assert refusal(answer)[2] == "SCOPE_MISSING"
        jwks = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
        claims = jwt.decode(token["access_token"], jwks, algorithms=["EdDSA"]).claims
        assert claims["client_id"] == partner.client_id
        refreshed = client.refresh_token(partner.token_uri)
        assert refreshed["refresh_token"] != token["refresh_token"]
        (grant,) = athlete.get("users/me/grants")["grants"]
        assert grant["scopes"] == ["activities.read", "profile.read"]
        # The second time nobody is asked.
        browser.open(uri)
        assert "code" in dict(parse_qsl(urlsplit(browser.sent_to).query))
        assert athlete.rest.delete(f"/v1/{grant['name']}").is_success
        answer = httpx.post(
            partner.token_uri,
            data={"grant_type": "refresh_token", "refresh_token": refreshed["refresh_token"]},
            auth=(partner.client_id, partner.secret),
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert answer.headers["cache-control"] == "no-store"


def test_the_pages_run_nothing_but_our_file_and_are_shown_in_no_frame(
    partner: Partner, browser: Browser
) -> None:
    with partner.client() as client:
        uri, _ = client.create_authorization_url(
            partner.authorize_uri, code_verifier=secrets.token_urlsafe(32)
        )
    browser.open(uri)
    policy = browser.page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://partner.example;" in policy
    assert browser.page.headers["x-frame-options"] == "DENY"
    assert browser.page.headers["cache-control"] == "no-store"
    # One file of ours asks for passkeys; nothing stands in the page itself.
    assert "script-src 'self';" in policy
    assert re.findall(r"<script[^>]*>[^<]*</script>", browser.page.text) == [
        '<script src="/oauth2/passkey.js" defer></script>'
    ]
    assert not re.search(r"<[^>]*\s(on[a-z]+|style)=", browser.page.text)
    script = browser.http.get("/oauth2/passkey.js")
    assert script.headers["content-type"].startswith("text/javascript")
    style = re.search(r'<link rel="stylesheet" href="([^"]+)">', browser.page.text)
    assert style is not None
    assert browser.http.get(style[1]).headers["content-type"].startswith("text/css")
    for cookie in browser.page.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
    russian = browser.http.get(uri, headers={"accept-language": "ru-RU,ru;q=0.9,en;q=0.5"})
    assert "Электронная почта" in russian.text
    assert "Электронная почта" in browser.http.get(f"{uri}&ui_locales=ru").text


def test_a_form_of_another_site_or_another_browser_is_refused(
    partner: Partner, athlete: Athlete, browser: Browser
) -> None:
    with partner.client() as client:
        uri, _ = client.create_authorization_url(
            partner.authorize_uri, code_verifier=secrets.token_urlsafe(32)
        )
    browser.open(uri)
    browser.submit("sign-in", email=athlete.email, password=athlete.password)
    proof = re.search(r'name="proof" value="([^"]*)"', browser.page.text)
    assert proof is not None
    forms: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
        ({"step": "allow"}, {}),
        ({"step": "allow", "proof": "0" * 64}, {}),
        ({"step": "allow", "proof": proof[1]}, {"sec-fetch-site": "cross-site"}),
    )
    for form, headers in forms:
        answer = browser.http.post(uri, data=form, headers=headers)
        assert answer.status_code == httpx.codes.FORBIDDEN
        assert "location" not in answer.headers
    with httpx.Client() as other:
        answer = other.post(uri, data={"step": "allow", "proof": proof[1]})
        assert answer.status_code == httpx.codes.FORBIDDEN
    assert athlete.get("users/me/grants")["grants"] == []


def test_wrong_credentials_are_told_on_the_page_and_a_no_goes_back(
    partner: Partner, athlete: Athlete, browser: Browser
) -> None:
    with partner.client() as client:
        uri, state = client.create_authorization_url(
            partner.authorize_uri, code_verifier=secrets.token_urlsafe(32)
        )
    browser.open(uri)
    browser.submit("sign-in", email=athlete.email, password="not the password")
    assert "The e-mail address or the password is wrong." in browser.page.text
    browser.submit("sign-in", email=athlete.email, password=athlete.password)
    browser.submit("switch")
    browser.submit("sign-in", email=athlete.email, password=athlete.password)
    browser.submit("deny")
    told = dict(parse_qsl(urlsplit(browser.sent_to).query))
    assert (told["error"], told["state"]) == ("access_denied", state)


def test_an_unregistered_address_is_told_on_a_page_of_ours(
    partner: Partner, browser: Browser
) -> None:
    for query in (
        f"client_id={partner.client_id}&redirect_uri=https://evil.example",
        f"client_id={partner.client_id}&redirect_uri={REDIRECT}&redirect_uri={REDIRECT}",
        "client_id=nobody",
        "",
        "%ff%fe=1",
        "&".join(f"p{number}=1" for number in range(60)),
    ):
        answer = browser.http.get(f"/oauth2/authorize?{query}")
        assert answer.status_code == httpx.codes.BAD_REQUEST, query
        assert "location" not in answer.headers
        assert answer.headers["content-type"].startswith("text/html")


async def test_fifty_exchanges_of_a_code_over_the_edge_have_one_winner(
    partner: Partner, athlete: Athlete, browser: Browser
) -> None:
    verifier = secrets.token_urlsafe(32)
    with partner.client() as client:
        uri, _ = client.create_authorization_url(partner.authorize_uri, code_verifier=verifier)
    browser.open(uri)
    browser.submit("sign-in", email=athlete.email, password=athlete.password)
    browser.submit("allow")
    form = {
        "grant_type": "authorization_code",
        "code": dict(parse_qsl(urlsplit(browser.sent_to).query))["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": verifier,
    }
    auth = (partner.client_id, partner.secret)
    async with httpx.AsyncClient(timeout=20) as http:
        answers = await asyncio.gather(
            *(http.post(partner.token_uri, data=form, auth=auth) for _ in range(50))
        )
        won = [each.json() for each in answers if each.is_success]
        assert len(won) == 1
        lost = {each.json()["error"] for each in answers if not each.is_success}
        assert lost == {"invalid_grant"}
        renew = {"grant_type": "refresh_token", "refresh_token": won[0]["refresh_token"]}
        after = await http.post(partner.token_uri, data=renew, auth=auth)
    assert after.json()["error"] == "invalid_grant"


def test_the_token_endpoint_answers_as_the_standard_says(partner: Partner) -> None:
    good = {"grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}
    auth = (partner.client_id, partner.secret)
    for sent, status, error in (
        ({"data": good}, 401, "invalid_client"),
        ({"data": good, "auth": (partner.client_id, "guessed")}, 401, "invalid_client"),
        ({"data": good, "auth": auth}, 400, "invalid_grant"),
        ({"data": {}, "auth": auth}, 400, "invalid_request"),
        ({"data": {"grant_type": "password"}, "auth": auth}, 400, "unsupported_grant_type"),
        ({"data": {"grant_type": "client_credentials"}, "auth": auth}, 400, "unauthorized_client"),
        ({"json": good, "auth": auth}, 400, "invalid_request"),
        ({"data": {"grant_type": "x" * 40_000}, "auth": auth}, 400, "invalid_request"),
    ):
        answer = httpx.post(partner.token_uri, **sent)
        assert (answer.status_code, answer.json()["error"]) == (status, error), sent
        assert answer.headers["cache-control"] == "no-store"
    refused = httpx.post(partner.token_uri, data=good, auth=(partner.client_id, "guessed"))
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert httpx.get(partner.token_uri).status_code == httpx.codes.METHOD_NOT_ALLOWED


def test_a_service_account_speaks_for_itself_through_the_edge(
    athlete: Athlete, stack: WholeStack
) -> None:
    headers = administrators.of(stack).headers
    account = {
        "displayName": "Reports",
        "purpose": "nightly reports",
        "scopes": ["profile.read", "devices.read"],
        "authentication": "CLIENT_AUTHENTICATION_SECRET",
    }
    made = athlete.rest.post("/v1/serviceAccounts", json=account, headers=headers).json()
    auth = (made["serviceAccount"]["clientId"], made["clientSecret"])
    uri = f"{stack.rest_url}/oauth2/token"
    issued = httpx.post(uri, data={"grant_type": "client_credentials"}, auth=auth).json()
    assert "refresh_token" not in issued
    bearer = {"authorization": f"Bearer {issued['access_token']}"}
    for path in ("users/me", f"{athlete.user}/devices", f"users/{auth[0]}/devices"):
        answer = httpx.get(f"{stack.rest_url}/v1/{path}", headers=bearer)
        assert refusal(answer)[2] == "NOT_OWNER"
    name = made["serviceAccount"]["name"]
    with stack.database() as database:
        used = database.execute(
            "SELECT method, outcome FROM identity.audit_records WHERE actor = %s "
            "UNION ALL SELECT method, outcome FROM integration.audit_records WHERE actor = %s",
            [name, name],
        ).fetchall()
        given = database.execute(
            "SELECT outcome FROM identity.audit_records WHERE resource = %s "
            "AND method = '/palestra.identity.v1.OAuthService/IssueToken'",
            [name],
        ).fetchall()
    # Each use is kept, be it a read that was refused; and who was given a token.
    assert sorted(used) == [
        ("/palestra.identity.v1.ProfileService/GetProfile", "NOT_OWNER"),
        ("/palestra.integration.v1.DeviceService/ListDevices", "NOT_OWNER"),
        ("/palestra.integration.v1.DeviceService/ListDevices", "NOT_OWNER"),
    ]
    assert given == [("OK",)]
    assert athlete.rest.delete(f"/v1/{name}", headers=headers).is_success
    begun = time.monotonic()
    while refusal(httpx.get(f"{stack.rest_url}/v1/users/me", headers=bearer))[2] == "NOT_OWNER":
        assert time.monotonic() - begun < 5, "its token ends within 5 s"
        time.sleep(0.05)
    over = httpx.get(f"{stack.rest_url}/v1/users/me", headers=bearer)
    assert refusal(over)[2] == "TOKEN_REVOKED"
    again = httpx.post(uri, data={"grant_type": "client_credentials"}, auth=auth)
    assert again.json()["error"] == "invalid_client"


def test_the_shop_signs_a_browser_in_and_out(
    partner: Partner, stack: WholeStack, browser: Browser
) -> None:
    assert stack.shop is not None
    subject = f"shopper-{secrets.token_hex(4)}"
    with partner.client() as client:
        uri, state = client.create_authorization_url(
            partner.authorize_uri, code_verifier=secrets.token_urlsafe(32)
        )
    browser.open(uri)
    door = re.search(r'href="(/sso/start[^"]*)"', browser.page.text)
    assert door is not None
    browser.open(html.unescape(door[1]))
    told = shops.come_back(browser.sent_to, subject)
    stolen = httpx.get(f"{stack.rest_url}/sso/callback", params=told)
    assert stolen.status_code == httpx.codes.BAD_REQUEST
    browser.open(f"/sso/callback?{urlencode(told)}")
    assert "Signed in as Athlete." in browser.page.text
    browser.submit("allow")
    back = dict(parse_qsl(urlsplit(browser.sent_to).query))
    assert back["state"] == state
    assert "code" in back
    uri_out = f"{stack.rest_url}/sso/backchannel-logout"
    assert httpx.post(uri_out, data={"logout_token": "nonsense"}).status_code == 400
    out = httpx.post(uri_out, data={"logout_token": stack.shop.logout_token(subject)})
    assert (out.status_code, out.headers["cache-control"]) == (200, "no-store")
    browser.open(uri)
    assert 'name="password"' in browser.page.text
    browser.open("/sso/callback?error=access_denied&state=x")
    assert browser.page.status_code == httpx.codes.BAD_REQUEST
