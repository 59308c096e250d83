"""AuthService: decode, call, encode."""

from __future__ import annotations

from mesh.runtime import Call
from palestra.identity.v1 import auth_service_pb2 as pb
from services.identity.auth.flow import AuthFlow


class AuthRpc:
    """Serves palestra.identity.v1.AuthService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AuthService"]

    def __init__(self, flow: AuthFlow) -> None:
        self._flow = flow

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        done = await self._flow.register(request.email, request.password, request.display_name)
        return pb.RegisterResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
        )

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        done = await self._flow.login(request.email, request.password)
        return pb.LoginResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
        )

    async def RefreshToken(
        self, request: pb.RefreshTokenRequest, call: Call
    ) -> pb.RefreshTokenResponse:
        done = await self._flow.refresh(request.refresh_token)
        return pb.RefreshTokenResponse(
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
        )

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        await self._flow.logout(request.refresh_token)
        return pb.LogoutResponse()
