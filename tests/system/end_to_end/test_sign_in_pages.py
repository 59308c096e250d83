"""Signing in on the pages of authorisation: codes, recovery codes, passkeys, the shop, prompts."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc.jws import extract_compact

from mesh.runtime.clock import now
from services.identity.factors import rules
from tests.support import browsers, devtools, shops
from tests.support.athletes import Athlete, Club
from tests.support.authenticator import Authenticator
from tests.support.factor_cases import RP_ID
from tests.support.partner_apps import Browser, Partner, registered
from tests.support.whole_stack import WholeStack

WRONG = "This code or passkey does not serve."
ASKED = "Confirm that it is you"


@dataclass
class Page:
    """An app's request in a browser."""

    partner: Partner
    browser: Browser
    verifier: str = ""

    def open(self, **more: str) -> None:
        """Comes with the app's request, and what is said beside it."""
        self.verifier = secrets.token_urlsafe(32)
        with self.partner.client() as client:
            uri, _ = client.create_authorization_url(
                self.partner.authorize_uri, code_verifier=self.verifier, **more
            )
        self.browser.open(uri)

    @property
    def text(self) -> str:
        return self.browser.page.text

    @property
    def told(self) -> dict[str, str]:
        """What the app is told."""
        return dict(parse_qsl(urlsplit(self.browser.sent_to).query))

    def allowed(self) -> dict[str, Any]:
        """Agrees; the claims of the access token that the app gets."""
        self.browser.submit("allow")
        with self.partner.client() as client:
            token = client.fetch_token(
                self.partner.token_uri,
                authorization_response=self.browser.sent_to,
                code_verifier=self.verifier,
            )
        found: dict[str, Any] = json.loads(extract_compact(token["access_token"].encode()).payload)
        return found

    def passkey_options(self) -> str:
        found = re.search(r'data-passkey="([^"]*)"', self.text)
        assert found is not None, self.text
        return html.unescape(found[1])


@pytest.fixture(scope="module")
def partner(athletes: Club) -> Partner:
    return registered(athletes.register("Partner"))


@pytest.fixture
def page(partner: Partner, stack: WholeStack) -> Iterator[Page]:
    with httpx.Client(base_url=stack.rest_url, timeout=20) as http:
        yield Page(partner, Browser(http))


def totp_of(athlete: Athlete) -> Callable[[int], str]:
    """An authenticator app: its codes by step from now; before 0, from its enrolment, all spent."""
    offer = athlete.rest.post("/v1/users/me:createTotp", json={"account": "V"}).json()
    secret, first = base64.b32decode(offer["secret"]), rules.step_at(now())

    def code(steps: int = 0) -> str:
        # Now is later by a step before every twentieth test or so is over.
        return rules.hotp(secret, (first if steps < 0 else rules.step_at(now())) + steps)

    kept = {"enrolmentToken": offer["enrolmentToken"], "code": code(-1)}
    assert athlete.rest.post("/v1/users/me:confirmTotp", json=kept).is_success
    return code


def passkey_of(athlete: Athlete) -> Authenticator:
    begun = athlete.rest.post("/v1/users/me:startPasskeyRegistration", json={}).json()
    made = Authenticator()
    credential = made.create(begun["options"], origin=athlete.stack.rest_url, rp_id=RP_ID)
    kept = {
        "enrolmentToken": begun["enrolmentToken"],
        "credential": credential,
        "displayName": "Key",
    }
    assert athlete.rest.post("/v1/users/me/passkeys", json=kept).is_success
    return made


def shown(page: Page, made: Authenticator) -> str:
    origin = page.partner.stack.rest_url
    return made.get(page.passkey_options(), origin=origin, rp_id=RP_ID)


def sign_in(page: Page, athlete: Athlete) -> None:
    page.browser.submit("sign-in", email=athlete.email, password=athlete.password)


def test_a_code_of_the_app_signs_in_and_a_wrong_one_is_told(page: Page, athlete: Athlete) -> None:
    code = totp_of(athlete)
    page.open()
    sign_in(page, athlete)
    assert ASKED in page.text
    page.browser.submit("second", code=code(-1))
    assert WRONG in page.text
    page.browser.submit("second", code="12")
    assert WRONG in page.text
    page.browser.submit("second", code=code(0))
    assert set(page.allowed()["amr"]) == {"pwd", "otp", "mfa"}


def test_a_recovery_code_signs_in(page: Page, athlete: Athlete) -> None:
    totp_of(athlete)
    made = athlete.rest.post("/v1/users/me:createRecoveryCodes", json={}).json()
    page.open(ui_locales="ru")
    sign_in(page, athlete)
    assert "Резервный код" in page.text
    page.browser.submit("second", recovery="aaaa-aaaa-aaaa-aaaa")
    page.browser.submit("second", recovery=made["recoveryCodes"][0])
    assert "mfa" in page.allowed()["amr"]


def test_a_passkey_signs_in_beside_the_password_and_alone(page: Page, athlete: Athlete) -> None:
    made = passkey_of(athlete)
    page.open()
    sign_in(page, athlete)
    # Nobody has told the page of another way.
    assert 'name="code"' not in page.text
    page.browser.submit("second", passkey=shown(page, made))
    assert set(page.allowed()["amr"]) == {"pwd", "hwk", "user", "mfa"}
    page.open(prompt="login")
    page.browser.submit("passkey", passkey="nonsense")
    assert WRONG in page.text
    page.browser.submit("passkey", passkey=shown(page, made))
    # He has agreed before.
    assert "code" in page.told


def test_a_ticket_serves_five_tries_and_then_one_begins_again(page: Page, athlete: Athlete) -> None:
    code = totp_of(athlete)
    page.open()
    sign_in(page, athlete)
    for _ in range(rules.MOST_TRIES):
        page.browser.submit("second", code=code(-1))
        assert WRONG in page.text
    page.browser.submit("second", code=code(0))
    assert "Begin again." in page.text
    sign_in(page, athlete)
    page.browser.submit("second", code=code(0))
    assert "Signed in as" in page.text


def test_wrong_codes_on_the_pages_count_together_with_all_others(
    page: Page, athlete: Athlete
) -> None:
    code = totp_of(athlete)
    held = {"email": athlete.email, "password": athlete.password}
    for _ in range(rules.FREE_FAILURES // rules.MOST_TRIES):
        told = athlete.rest.post("/v1/auth:login", json=held).json()["secondFactor"]
        for _ in range(rules.MOST_TRIES):
            wrong = {"ticket": told["ticket"], "proof": {"totpCode": code(-1)}}
            assert not athlete.rest.post("/v1/auth:completeLogin", json=wrong).is_success
    page.open()
    sign_in(page, athlete)
    page.browser.submit("second", code=code(-1))
    page.browser.submit("second", code=code(0))
    assert "Too many tries." in page.text


async def test_fifty_second_steps_of_one_page_sign_one_browser_in(
    page: Page, athlete: Athlete
) -> None:
    code = totp_of(athlete)
    page.open()
    sign_in(page, athlete)
    # What the form would send.
    page.browser.submit("second", code=code(-1))
    form = page.browser.sent | {"code": code(0)}
    uri, cookies = str(page.browser.page.url), page.browser.http.cookies
    async with httpx.AsyncClient(timeout=20, cookies=cookies) as http:
        answers = await asyncio.gather(*(http.post(uri, data=form) for _ in range(50)))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [200] * 49 + [303]
    with page.partner.stack.database() as database:
        found = database.execute(
            "SELECT count(*) FROM identity.browsers WHERE user_id = %s",
            [athlete.user.removeprefix("users/")],
        ).fetchone()
    assert found == (1,)


def test_a_sign_in_with_the_shop_asks_for_the_second_factor_and_ends_with_the_shops(
    page: Page, stack: WholeStack
) -> None:
    assert stack.shop is not None
    subject = f"shopper-{secrets.token_hex(4)}"
    made = _of_the_shop(stack, subject)
    page.open(ui_locales="ru")
    door = re.search(r'href="(/sso/start[^"]*)"', page.text)
    assert door is not None
    page.browser.open(html.unescape(door[1]))
    told = shops.come_back(page.browser.sent_to, subject)
    page.browser.open(f"/sso/callback?{urlencode(told)}")
    assert "Подтвердите, что это вы" in page.text
    page.browser.submit("second", passkey=shown(page, made))
    assert "Вы вошли как" in page.text
    out = {"logout_token": stack.shop.logout_token(subject)}
    assert httpx.post(f"{stack.rest_url}/sso/backchannel-logout", data=out).is_success
    page.open()
    assert 'name="password"' in page.text


def _of_the_shop(stack: WholeStack, subject: str) -> Authenticator:
    """A passkey of somebody who has no password here."""
    with httpx.Client(base_url=stack.rest_url, timeout=20) as rest:
        begun = rest.post("/v1/auth:startSso", json={"reauthenticate": True}).json()
        told = shops.come_back(begun["authorizationUri"], subject)
        answer = {"code": told["code"], "state": told["state"], "ssoToken": begun["ssoToken"]}
        done = rest.post("/v1/auth:finishSso", json={"answer": answer}).json()
        rest.headers["authorization"] = f"Bearer {done['accessToken']}"
        shopper = Athlete(stack, "", done["user"], done["accessToken"], "", "", rest)
        return passkey_of(shopper)


def test_prompts_and_ages_are_heeded(page: Page, athlete: Athlete) -> None:
    page.open(prompt="none")
    assert page.told["error"] == "login_required"
    page.open(login_hint='vera"@example.com', max_age="0")
    assert 'value="vera&quot;@example.com"' in page.text
    sign_in(page, athlete)
    # Freshly signed in, one may read what one agrees to.
    assert "Signed in as" in page.text
    page.browser.submit("allow")
    assert "code" in page.told
    page.open(prompt="none")
    assert "code" in page.told
    page.open(prompt="consent")
    assert "Signed in as" in page.text
    page.open(prompt="select_account")
    assert "Use another account" in page.text
    page.open(prompt="login")
    assert 'name="password"' in page.text
    sign_in(page, athlete)
    # Agreed to before, and signed in as asked.
    assert "code" in page.told
    # One browser has one sign-in: what was there before has ended.
    with page.partner.stack.database() as database:
        found = database.execute(
            "SELECT count(*) FROM identity.sessions WHERE user_id = %s AND ended_at IS NULL "
            "AND client_id = 'palestra-app'",
            [athlete.user.removeprefix("users/")],
        ).fetchone()
    # The app's that he registered with, and this browser's.
    assert found == (2,)


@pytest.mark.skipif(browsers.CHROMIUM is None, reason="no Chromium on this machine")
async def test_a_real_browser_shows_its_passkey(
    page: Page, athlete: Athlete, tmp_path: Path
) -> None:
    by_name = page.partner.stack.rest_url.replace("127.0.0.1", "localhost")
    made = passkey_of(athlete)
    private = _pkcs8(made)
    page.open()
    query = urlsplit(str(page.browser.page.url)).query
    async with devtools.tab(tmp_path) as tab:
        await tab.command("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
        }
        added = await tab.command("WebAuthn.addVirtualAuthenticator", options=options)
        credential = {
            "credentialId": base64.b64encode(made.credential_id).decode(),
            "isResidentCredential": True,
            "rpId": RP_ID,
            "privateKey": private,
            "userHandle": base64.b64encode(made.user_handle).decode(),
            "signCount": 0,
        }
        await tab.command(
            "WebAuthn.addCredential",
            authenticatorId=added["authenticatorId"],
            credential=credential,
        )
        await tab.command("Page.navigate", url=f"{by_name}/oauth2/authorize?{query}")
        seen = await _until(tab, "document.querySelector('form[data-passkey]:not([hidden])')")
        assert seen
        await tab.evaluate("document.querySelector('form[data-passkey] button').click();")
        assert await _until(tab, "document.querySelector('input[name=step][value=allow]')")
        assert tab.complaints == []


async def _until(tab: devtools.Tab, look: str) -> bool:
    """Whether it is seen within the browser's patience; pages may come and go meanwhile."""
    for _ in range(400):
        if await tab.evaluate(f"return Boolean({look});"):
            return True
        await asyncio.sleep(0.025)
    return False


def _pkcs8(made: Authenticator) -> str:
    from cryptography.hazmat.primitives import serialization

    raw: bytes = made.key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return base64.b64encode(raw).decode()
