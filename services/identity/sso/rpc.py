"""SsoService: decode, call, encode."""

from __future__ import annotations

from mesh.runtime import Call, names
from mesh.runtime.errors import invalid_field
from palestra.identity.v1 import sso_service_pb2 as pb
from services.identity.factors.rpc import question
from services.identity.factors.second_step import Asked
from services.identity.oauth.flow import OAuthFlow
from services.identity.oauth.rules.codes import BROWSER_LIFETIME
from services.identity.sessions.devices import device_of
from services.identity.sso.flow import Answer, SsoFlow
from services.identity.sso.rules import ATTEMPT_LIFETIME

_SHOP_PROFILE, _SHOP_LOGOUT = "/shopProfile", "/shopLogout"


class SsoRpc:
    """Serves palestra.identity.v1.SsoService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["SsoService"]

    def __init__(self, flow: SsoFlow, browsers: OAuthFlow) -> None:
        self._flow = flow
        self._browsers = browsers

    async def StartSso(self, request: pb.StartSsoRequest, call: Call) -> pb.StartSsoResponse:
        begun = await self._flow.start(request.redirect_uri, anew=request.reauthenticate)
        return pb.StartSsoResponse(
            authorization_uri=begun.authorization_uri,
            sso_token=begun.token,
            expires_in=int(ATTEMPT_LIFETIME.total_seconds()),
        )

    async def FinishSso(self, request: pb.FinishSsoRequest, call: Call) -> pb.FinishSsoResponse:
        try:
            done = await self._flow.finish(_answer(request.answer), device_of(call))
        except Asked as asked:
            return pb.FinishSsoResponse(
                user=f"users/{asked.user_id}", second_factor=question(asked.question)
            )
        return pb.FinishSsoResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
        )

    async def LinkSso(self, request: pb.LinkSsoRequest, call: Call) -> pb.LinkSsoResponse:
        (user_id,) = names.parse(request.name, "users")
        await self._flow.link(user_id, _answer(request.answer))
        return pb.LinkSsoResponse()

    async def UnlinkSso(self, request: pb.UnlinkSsoRequest, call: Call) -> pb.UnlinkSsoResponse:
        (user_id,) = names.parse(request.name, "users")
        await self._flow.unlink(user_id)
        return pb.UnlinkSsoResponse()

    async def GetShopProfile(
        self, request: pb.GetShopProfileRequest, call: Call
    ) -> pb.GetShopProfileResponse:
        (user_id,) = names.parse(_before(request.name, _SHOP_PROFILE), "users")
        known = await self._flow.known(user_id)
        return pb.GetShopProfileResponse(
            display_name=known.display_name,
            email=known.email,
            email_verified=known.email_verified,
            phone=known.phone,
        )

    async def GetShopLogout(
        self, request: pb.GetShopLogoutRequest, call: Call
    ) -> pb.GetShopLogoutResponse:
        (user_id,) = names.parse(_before(request.name, _SHOP_LOGOUT), "users")
        return pb.GetShopLogoutResponse(logout_uri=await self._flow.logout_uri(user_id))

    async def FinishBrowserSso(
        self, request: pb.FinishBrowserSsoRequest, call: Call
    ) -> pb.FinishBrowserSsoResponse:
        try:
            done = await self._flow.finish(_answer(request.answer), device_of(call))
        except Asked as asked:
            return pb.FinishBrowserSsoResponse(second_factor=question(asked.question))
        return pb.FinishBrowserSsoResponse(
            browser_token=await self._browsers.signed_in(done, request.browser_token),
            expires_in=int(BROWSER_LIFETIME.total_seconds()),
        )

    async def EndShopSessions(
        self, request: pb.EndShopSessionsRequest, call: Call
    ) -> pb.EndShopSessionsResponse:
        await self._flow.end_sessions(request.logout_token)
        return pb.EndShopSessionsResponse()


def _before(name: str, suffix: str) -> str:
    if not name.endswith(suffix):
        raise invalid_field("name", f"must be of the form users/*{suffix}")
    return name.removesuffix(suffix)


def _answer(answer: pb.SsoAnswer) -> Answer:
    return Answer(answer.code, answer.state, answer.iss, answer.sso_token)
