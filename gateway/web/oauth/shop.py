"""Signing in with the shop in a browser, and the shop's word that somebody signed out there.

What an app asked for waits in a cookie meanwhile, beside the token that shows who began.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from gateway.web.oauth import cookies, forms, html
from gateway.web.oauth.authorize import HEADERS, Authorize, away, here, page, without_login
from gateway.web.oauth.identity import Identity, Refused
from gateway.web.oauth.words import language
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import sso_service_pb2 as pb

_TROUBLES = {
    "SSO_STATE_INVALID": "shop_expired",
    "SSO_LINK_NEEDED": "shop_link",
    "SSO_UNAVAILABLE": "unavailable",
    "SSO_OFF": "unavailable",
    "ACCOUNT_BLOCKED": "blocked",
}
_SECRET = {"cache-control": "no-store"}


class Shop:
    """The browser's way to the shop and back."""

    def __init__(self, identity: Identity, authorize: Authorize) -> None:
        self._identity = identity
        self._authorize = authorize

    async def start(self, request: Request) -> Response:
        """Sends the person to the shop."""
        spoken = language("", request.headers.get("accept-language", ""))
        try:
            query = forms.query(request)
            told = cookies.read(request)
            asked = pb.StartSsoRequest(reauthenticate=asks_anew(query))
            begun = await self._identity.sso(request, "StartSso", asked)
            answer = away(begun.authorization_uri)
            told.keep(answer, begun.sso_token, urlencode(query), begun.expires_in)
        except (Refused, MeshError) as error:
            return _trouble(spoken, error)
        return answer

    async def callback(self, request: Request) -> Response:
        """Takes the person back, signed in."""
        spoken = language("", request.headers.get("accept-language", ""))
        told = cookies.read(request)
        token, way = cookies.kept(request, told)
        try:
            back = forms.pairs(way)
            wanted = next((value for name, value in back if name == "ui_locales"), "")
            spoken = language(wanted, request.headers.get("accept-language", ""))
            found = dict(forms.query(request))
            if not token or "code" not in found or "state" not in found:
                raise Refused("SSO_REFUSED" if "error" in found else "SSO_STATE_INVALID", "", None)
            said = pb.SsoAnswer(
                code=found["code"],
                state=found["state"],
                iss=found.get("iss", ""),
                sso_token=token,
            )
            asked = pb.FinishBrowserSsoRequest(answer=said, browser_token=told.browser)
            done = await self._identity.sso(request, "FinishBrowserSso", asked)
            answer = await self._arrived(request, back, told, spoken, done)
        except (Refused, MeshError) as error:
            answer = _trouble(spoken, error)
            told.drop_kept(answer)
            return answer
        told.drop_kept(answer)
        return answer

    async def _arrived(
        self,
        request: Request,
        back: forms.Pairs,
        told: cookies.Cookies,
        spoken: str,
        done: pb.FinishBrowserSsoResponse,
    ) -> Response:
        if done.HasField("second_factor"):
            return await self._authorize.second(request, back, told, spoken, done.second_factor)
        answer = RedirectResponse(here(without_login(back)), 303, HEADERS)
        told.sign_in(answer, done.browser_token, done.expires_in)
        return answer

    async def logout(self, request: Request) -> Response:
        """OpenID Connect Back-Channel Logout 1.0 §2.5."""
        try:
            form = dict(await forms.form(request))
            said = pb.EndShopSessionsRequest(logout_token=form.get("logout_token", ""))
            await self._identity.sso(request, "EndShopSessions", said)
        except (Refused, MeshError) as error:
            status = 503 if error.reason in ("UNAVAILABLE", "SSO_UNAVAILABLE") else 400
            content = {"error": "invalid_request", "error_description": str(error)}
            return JSONResponse(content, status, _SECRET)
        return Response(status_code=200, headers=_SECRET)


def asks_anew(query: forms.Pairs) -> bool:
    """Whether an app's request asks for a fresh sign-in, so that the shop is to ask as well."""
    told = dict(query)
    return "login" in told.get("prompt", "").split() or "max_age" in told


def _trouble(spoken: str, error: Refused | MeshError) -> Response:
    if error.reason == "UNAVAILABLE":
        return page(html.trouble(spoken, "unavailable"), 503)
    key = _TROUBLES.get(error.reason, "shop_refused")
    return page(html.trouble(spoken, key), 503 if key == "unavailable" else 400)
