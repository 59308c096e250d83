"""The authorisation endpoint: a browser comes with an app's request, and leaves with an answer.

The request stays in the address from page to page; identity looks at it anew each time, so
that nothing of it is to be believed from a form.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.pages import AUTHORIZE
from gateway.web.oauth import cookies, forms, html
from gateway.web.oauth.cookies import Cookies
from gateway.web.oauth.forms import Pairs
from gateway.web.oauth.html import Second
from gateway.web.oauth.identity import Identity, Refused
from gateway.web.oauth.words import language
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import factor_pb2
from palestra.identity.v1 import oauth_service_pb2 as pb

LONGEST_TICKET = 4096
_DECISIONS = {"allow": pb.AUTHORIZATION_DECISION_ALLOW, "deny": pb.AUTHORIZATION_DECISION_DENY}
_TROUBLES = {
    "CREDENTIALS_WRONG": "wrong",
    "INVALID_FIELD": "wrong",
    "ACCOUNT_BLOCKED": "blocked",
    "SECOND_FACTOR_WRONG": "second_wrong",
    "SIGN_IN_TICKET_INVALID": "second_expired",
}
_KINDS = {
    factor_pb2.FACTOR_KIND_TOTP: html.TOTP,
    factor_pb2.FACTOR_KIND_RECOVERY_CODE: html.RECOVERY_CODE,
    factor_pb2.FACTOR_KIND_PASSKEY: html.PASSKEY,
}
READING_S = 600
"""How long somebody who has just signed in may take to decide, however fresh he is to be."""


class Authorize:
    """GET shows what is next, POST takes what the person said."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def __call__(self, request: Request) -> Response:
        """Answers one request, in the person's language."""
        spoken = language("", request.headers.get("accept-language", ""))
        try:
            pairs = forms.query(request)
            wanted = next((value for name, value in pairs if name == "ui_locales"), "")
            spoken = language(wanted, request.headers.get("accept-language", ""))
            told = cookies.read(request)
            if request.method == "POST":
                return await self._post(request, pairs, told, spoken)
            return await self._get(request, pairs, told, spoken)
        except Refused as refused:
            return page(html.trouble(spoken, "app_at_fault", str(refused)), 400)
        except MeshError as error:
            if error.reason == "UNAVAILABLE":
                return page(html.trouble(spoken, "unavailable"), 503)
            if error.reason == "CALLER_REFUSED":
                return page(html.trouble(spoken, "reload"), 403)
            return page(html.trouble(spoken, "app_at_fault", str(error)), 400)

    async def _get(
        self,
        request: Request,
        pairs: Pairs,
        told: Cookies,
        spoken: str,
        *,
        email: str = "",
        trouble: str = "",
        second: Second | None = None,
    ) -> Response:
        question = pb.DescribeAuthorizationRequest(
            parameters=forms.parameters(pairs), browser_token=told.browser
        )
        asked = await self._identity.ask(request, "DescribeAuthorization", question)
        if asked.step == pb.AUTHORIZATION_STEP_REFUSE:
            return page(html.trouble(spoken, "app_at_fault", asked.refusal), 400)
        if asked.step == pb.AUTHORIZATION_STEP_REDIRECT:
            return away(asked.redirect_uri)
        if asked.step == pb.AUTHORIZATION_STEP_GRANTED:
            return await self._decide(request, pairs, told, pb.AUTHORIZATION_DECISION_AS_BEFORE)
        action = here(pairs)
        if asked.step == pb.AUTHORIZATION_STEP_SIGN_IN and second is not None:
            shown = html.second_step(spoken, asked, action, told.proof, second, trouble)
        elif asked.step == pb.AUTHORIZATION_STEP_SIGN_IN:
            email = email or _hint(pairs)
            shown = html.sign_in(spoken, asked, action, told.proof, email, trouble)
        else:
            shown = html.consent(spoken, asked, action, told.proof)
        answer = page(shown, 200, asked.return_origin)
        told.tell(answer)
        return answer

    async def _post(self, request: Request, pairs: Pairs, told: Cookies, spoken: str) -> Response:
        form = dict(await forms.form(request))
        cookies.check(request, told, form.get("proof", ""))
        step = form.get("step", "")
        if step in ("sign-in", "second", "passkey"):
            return await self._sign_in(request, pairs, told, spoken, form)
        if step == "switch":
            signed_in = pb.SignOutBrowserRequest(browser_token=told.browser)
            await self._identity.ask(request, "SignOutBrowser", signed_in)
            answer = RedirectResponse(here(pairs), 303, HEADERS)
            told.sign_out(answer)
            return answer
        if step not in _DECISIONS:
            raise MeshError("CALLER_REFUSED")
        try:
            return await self._decide(request, pairs, told, _DECISIONS[step])
        except Refused as refused:
            if refused.reason != "BROWSER_SIGNED_OUT":
                raise
            return RedirectResponse(here(pairs), 303, HEADERS)

    async def _sign_in(
        self, request: Request, pairs: Pairs, told: Cookies, spoken: str, form: dict[str, str]
    ) -> Response:
        """One of its steps; each is tried by identity, and what it says of it is shown."""
        email = form.get("email", "")[:254]
        method, asked = _asked(form, told.browser)
        try:
            done = await self._identity.ask(request, method, asked)
        except Refused as refused:
            trouble = _TROUBLES.get(refused.reason, "too_many")
            second = _carried(form)
            if trouble == "wrong" and form["step"] != "sign-in":
                trouble = "second_wrong"
            if trouble in ("second_expired", "blocked"):
                second = None
            return await self._get(
                request, pairs, told, spoken, email=email, trouble=trouble, second=second
            )
        if method == "SignInBrowser" and done.HasField("second_factor"):
            return await self.second(request, pairs, told, spoken, done.second_factor)
        # He has just signed in, as he was asked to.
        answer = RedirectResponse(here(without_login(pairs)), 303, HEADERS)
        told.sign_in(answer, done.browser_token, done.expires_in)
        return answer

    async def second(
        self,
        request: Request,
        pairs: Pairs,
        told: Cookies,
        spoken: str,
        needed: factor_pb2.SecondFactorNeeded,
    ) -> Response:
        """Asks for the second factor of a sign-in to the request."""
        kinds = tuple(_KINDS[each] for each in needed.factors if each in _KINDS)
        second = Second(needed.ticket, kinds, needed.passkey_options)
        return await self._get(request, pairs, told, spoken, second=second)

    async def _decide(
        self,
        request: Request,
        pairs: Pairs,
        told: Cookies,
        decision: pb.AuthorizationDecision.ValueType,
    ) -> Response:
        said = pb.DecideAuthorizationRequest(
            parameters=forms.parameters(pairs), browser_token=told.browser, decision=decision
        )
        done = await self._identity.ask(request, "DecideAuthorization", said)
        return away(done.redirect_uri)


def _asked(form: Mapping[str, str], browser: str) -> tuple[str, Message]:
    """The method of identity that a step of a sign-in is, and what it is asked."""
    ticket = form.get("ticket", "")[:LONGEST_TICKET]
    if form["step"] == "sign-in":
        return "SignInBrowser", pb.SignInBrowserRequest(
            email=form.get("email", "")[:254],
            password=form.get("password", "")[:256],
            browser_token=browser,
        )
    if form["step"] == "passkey":
        return "FinishBrowserPasskey", pb.FinishBrowserPasskeyRequest(
            ticket=ticket, passkey=form.get("passkey", ""), browser_token=browser
        )
    proof = factor_pb2.SecondFactorProof()
    if form.get("passkey"):
        proof.passkey = form["passkey"]
    elif "recovery" in form:
        proof.recovery_code = form["recovery"]
    else:
        proof.totp_code = form.get("code", "")
    return "CompleteBrowserSignIn", pb.CompleteBrowserSignInRequest(
        ticket=ticket, proof=proof, browser_token=browser
    )


def _carried(form: Mapping[str, str]) -> Second | None:
    """What a form carries of a sign-in that waits for its second factor; None of any other.

    It is the browser's own, and decides nothing but what its next page offers.
    """
    if form["step"] != "second":
        return None
    told = form.get("kinds", "").split()
    kinds = tuple(each for each in _KINDS.values() if each in told)
    return Second(form.get("ticket", "")[:LONGEST_TICKET], kinds, form.get("options", ""))


def _hint(pairs: Pairs) -> str:
    """The address that the app believes the person signs in with."""
    found = [value for name, value in pairs if name == "login_hint"]
    return found[0][:254] if len(found) == 1 else ""


def without_login(pairs: Pairs) -> Pairs:
    """The request after the sign-in that it asked for."""
    kept = []
    for name, value in pairs:
        words = [word for word in value.split() if word != "login"]
        if name == "max_age" and value.isascii() and value.isdecimal() and len(value) <= 9:
            # Else nobody could be fresh enough who reads what he agrees to.
            kept.append((name, str(max(int(value), READING_S))))
        elif name != "prompt":
            kept.append((name, value))
        elif words:
            kept.append((name, " ".join(words)))
    return kept


def here(pairs: Pairs) -> str:
    """The page of the same request."""
    return f"{AUTHORIZE.path}?{urlencode(pairs)}"


HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With none at all browsers would hide where our own forms come from.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
}


def page(content: str, status: int, leads_to: str = "") -> Response:
    """A page under a policy that lets its forms lead back to us, and `leads_to` from there.

    Only a page that asks for a passkey may run a script, the one file that does.
    """
    script = "script-src 'self'; " if "<script" in content else ""
    # Browsers follow a form's redirects only where the form itself might have gone.
    policy = (
        f"default-src 'none'; {script}style-src 'self'; form-action 'self' {leads_to}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = HEADERS | {"content-security-policy": policy}
    return Response(content, status, headers, "text/html")


def away(uri: str) -> Response:
    """Sends the person there."""
    # As it is: Starlette would quote it once more.
    return Response(status_code=303, headers=HEADERS | {"location": uri})
