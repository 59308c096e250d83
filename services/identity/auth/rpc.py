"""AuthService: decode, call, encode."""

from __future__ import annotations

import time
import uuid

from mesh.runtime import Call, names
from palestra.identity.v1 import auth_service_pb2 as pb
from services.identity.auth.flow import AuthFlow, Origin
from services.identity.auth.recovery import RecoveryFlow
from services.identity.consents.encoding import agreed
from services.identity.consents.rules import Evidence
from services.identity.factors.rpc import question
from services.identity.factors.second_step import Asked
from services.identity.sessions.devices import device_of
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.rules import FIRST_PARTY


class AuthRpc:
    """Serves palestra.identity.v1.AuthService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["AuthService"]

    def __init__(self, flow: AuthFlow, recovery: RecoveryFlow, sessions: SessionFlow) -> None:
        self._flow = flow
        self._recovery = recovery
        self._sessions = sessions

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        device = device_of(call)
        try:
            done = await self._flow.register(
                request.email,
                request.password,
                request.display_name,
                device,
                phone=request.phone,
                language=request.language,
                country=request.country,
                origin=Origin(call.address, request.device_token),
                agreed=agreed(request.consents),
                by=Evidence(FIRST_PARTY, None, device.name, device.network),
            )
        except Asked as asked:
            return pb.RegisterResponse(
                user=f"users/{asked.user_id}", second_factor=question(asked.question)
            )
        return pb.RegisterResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
            device_token=self._flow.throttle.device_token(done.user_id),
        )

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        try:
            done = await self._flow.login(
                request.email,
                request.password,
                device_of(call),
                phone=request.phone,
                origin=Origin(call.address, request.device_token),
            )
        except Asked as asked:
            return pb.LoginResponse(
                user=f"users/{asked.user_id}", second_factor=question(asked.question)
            )
        return pb.LoginResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
            device_token=self._flow.throttle.device_token(done.user_id),
            second_factor_wanted=done.wants_factor,
        )

    async def RefreshToken(
        self, request: pb.RefreshTokenRequest, call: Call
    ) -> pb.RefreshTokenResponse:
        done = await self._sessions.refresh(request.refresh_token, device_of(call))
        return pb.RefreshTokenResponse(
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
        )

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        await self._sessions.logout(request.refresh_token)
        return pb.LogoutResponse()

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, call: Call
    ) -> pb.RequestPasswordResetResponse:
        await self._recovery.request_reset(request.email, request.phone)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(
        self, request: pb.ResetPasswordRequest, call: Call
    ) -> pb.ResetPasswordResponse:
        await self._recovery.reset(request.email, request.phone, request.code, request.new_password)
        return pb.ResetPasswordResponse()

    async def UnlockAccount(
        self, request: pb.UnlockAccountRequest, call: Call
    ) -> pb.UnlockAccountResponse:
        await self._recovery.unlock(request.email, request.phone, request.code)
        return pb.UnlockAccountResponse()

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, call: Call
    ) -> pb.ChangePasswordResponse:
        (user_id,) = names.parse(request.name, "users")
        user = call.signed_in
        await self._recovery.change(
            user_id,
            uuid.UUID(user.session),
            request.current_password,
            request.new_password,
            auth_age_s=time.time() - user.auth_time_s,
        )
        return pb.ChangePasswordResponse()
