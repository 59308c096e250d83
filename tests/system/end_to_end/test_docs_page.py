"""The documentation in a real browser: it draws every method, signs in, sends, and asks nobody
but this edge for anything."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mesh.runtime.clock import now
from services.identity.factors import rules
from tests.support import browsers, devtools
from tests.support.api_document import operations
from tests.support.athletes import Athlete
from tests.support.whole_stack import WholeStack

pytestmark = pytest.mark.skipif(browsers.CHROMIUM is None, reason="no Chromium on this machine")

# Waits in the page for what is looked for.
SEEN = """
const seen = async (look) => {
  for (let tries = 0; tries < 400; tries++) {
    const found = look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`not seen: ${look} in ${document.body.innerText.slice(0, 300)}`);
};
const one = (selector) => document.querySelector(selector);
const buttons = () => [...document.querySelectorAll("button")];
const pressed = (words) => buttons().find((each) => each.textContent === words);
"""


@pytest.fixture
async def page(stack: WholeStack, tmp_path: Path) -> AsyncIterator[devtools.Tab]:
    """The page, drawn."""
    async with devtools.tab(tmp_path) as opened:
        await opened.command("Page.navigate", url=f"{stack.rest_url}/docs")
        await run(opened, 'await seen(() => document.readyState === "complete" && one("h1"));')
        yield opened
        assert not [each for each in opened.complaints if "401" not in each]


async def run(tab: devtools.Tab, script: str) -> Any:
    return await tab.evaluate(SEEN + script)


async def test_every_method_is_drawn_with_its_refusals_and_a_console(page: devtools.Tab) -> None:
    for operation in operations():
        drawn = await run(
            page,
            f"""
            location.hash = {operation.name!r};
            await seen(() => one("h1")?.textContent === {operation.name!r} && one(".try"));
            return [one(".route").textContent, document.querySelectorAll("tbody tr").length,
                    one(".try pre").textContent];
            """,
        )
        assert operation.path in drawn[0]
        assert drawn[1] >= 5
        assert drawn[2].startswith("curl ")


async def test_a_method_is_found_by_any_word(page: devtools.Tab) -> None:
    found = await run(
        page,
        """
        one("#find").value = "delete samples";
        one("#find").dispatchEvent(new Event("input"));
        return [...document.querySelectorAll("#methods a")].map((a) => a.hash);
        """,
    )
    assert found == ["#DeleteActivity"]


async def test_a_refusal_then_a_sign_in_then_an_answer(page: devtools.Tab) -> None:
    said = await run(
        page,
        """
        location.hash = "GetProfile";
        await seen(() => one("h1").textContent === "GetProfile" && one(".try"));
        pressed("Send").click();
        const refused = (await seen(() => one(".said .reason"))).innerText;
        pressed("Sign in").click();
        (await seen(() => pressed("New account to try with"))).click();
        await seen(() => one(".who b"));
        pressed("Send").click();
        const status = await seen(() => one(".said .status.good"));
        await seen(() => one(".said > pre").textContent.includes("displayName"));
        return [refused, status.textContent, JSON.parse(one(".said > pre").textContent),
                Object.keys(localStorage).length + Object.keys(sessionStorage).length,
                document.cookie, one(".try .sample pre").textContent];
        """,
    )
    refused, status, answer, stored, cookie, curl = said
    assert "TOKEN_MISSING" in refused
    assert "Войдите" in refused
    assert status.startswith("200")
    assert answer["profile"]["displayName"] == "Vera"
    # The token is nowhere but in the page's memory, and not in what is copied.
    assert (stored, cookie) == (0, "")
    assert "$TOKEN" in curl
    assert "eyJ" not in curl


async def test_who_has_a_second_factor_is_asked_for_its_code(
    page: devtools.Tab, athlete: Athlete
) -> None:
    rest, step = athlete.rest, rules.step_at(now())
    offer = rest.post("/v1/users/me:createTotp", json={}).json()
    secret = base64.b32decode(offer["secret"])
    confirm = {"enrolmentToken": offer["enrolmentToken"], "code": rules.hotp(secret, step)}
    assert rest.post("/v1/users/me:confirmTotp", json=confirm).status_code == 200
    who = await run(
        page,
        f"""
        pressed("Sign in").click();
        const dialog = await seen(() => one("dialog[open]"));
        const [address, password, code] = dialog.querySelectorAll("input");
        const shown = () => getComputedStyle(code.closest("label")).display;
        const hidden = shown();
        address.value = {athlete.email!r};
        password.value = {athlete.password!r};
        dialog.querySelector("form").requestSubmit();
        await seen(() => shown() !== "none");
        const before = one(".who b");
        code.value = {rules.hotp(secret, step + 1)!r};
        dialog.querySelector("form").requestSubmit();
        return [hidden, before, (await seen(() => one(".who b"))).textContent];
        """,
    )
    assert who == ["none", None, athlete.email]


async def test_it_fits_a_phone(page: devtools.Tab) -> None:
    await page.command(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=2,
        mobile=True,
    )
    for operation in operations():
        wide = await run(
            page,
            f"""
            location.hash = {operation.name!r};
            await seen(() => one("h1")?.textContent === {operation.name!r});
            return document.documentElement.scrollWidth;
            """,
        )
        assert wide <= 360, operation.name
