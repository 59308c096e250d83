"""Identity's further services beside `fake_community`: second step, sessions, relations.

Speaks the real contract. A code is right where it is `CODE`, a password where it is `PASSWORD`.
"""

from __future__ import annotations

from typing import Any

import grpc

from palestra.identity.v1 import (
    factor_pb2,
    relation_service_pb2,
    relation_service_pb2_grpc,
    second_step_service_pb2,
    second_step_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)
from tests.support.fake_community import USER, Community, Desk, Failure, fail

CODE, PASSWORD = "123456", "long enough"
TOTP, PASSKEY = factor_pb2.FACTOR_KIND_TOTP, factor_pb2.FACTOR_KIND_PASSKEY


class _Steps(Desk, second_step_service_pb2_grpc.SecondStepServiceServicer):
    async def CompleteLogin(self, request: Any, context: Any) -> Any:
        await self.enter("CompleteLogin", request, context, signed_in=False)
        await self._check(request.proof.totp_code == CODE, context)
        return self._pair(
            second_step_service_pb2.CompleteLoginResponse(user=USER, device_token="a-device")
        )

    async def StartPasskeyLogin(self, request: Any, context: Any) -> Any:
        await self.enter("StartPasskeyLogin", request, context, signed_in=False)
        return second_step_service_pb2.StartPasskeyLoginResponse(ticket="t", options="{}")

    async def FinishPasskeyLogin(self, request: Any, context: Any) -> Any:
        await self.enter("FinishPasskeyLogin", request, context, signed_in=False)
        await self._check(request.passkey == "signed {}", context)
        return self._pair(second_step_service_pb2.FinishPasskeyLoginResponse(user=USER))

    async def StartReauthentication(self, request: Any, context: Any) -> Any:
        await self.enter("StartReauthentication", request, context)
        asked = factor_pb2.SecondFactorNeeded(ticket="again", factors=self.community.factors)
        return second_step_service_pb2.StartReauthenticationResponse(second_factor=asked)

    async def Reauthenticate(self, request: Any, context: Any) -> Any:
        await self.enter("Reauthenticate", request, context)
        right = request.password == PASSWORD or request.proof.totp_code == CODE
        await self._check(right, context)
        refresh = self.community.refresh
        access, _ = self.community.issue()
        # The refresh token stays as it is.
        self.community.refresh = refresh
        self.community.fresh.add(access)
        return second_step_service_pb2.ReauthenticateResponse(access_token=access, expires_in=900)

    async def _check(self, right: bool, context: Any) -> None:
        if not right:
            wrong = Failure(grpc.StatusCode.UNAUTHENTICATED, "SECOND_FACTOR_WRONG")
            await fail(context, wrong, "identity.palestra")

    def _pair(self, response: Any) -> Any:
        response.access_token, response.refresh_token = self.community.issue()
        response.expires_in = self.community.token_life_s
        return response


class _Sessions(Desk, session_service_pb2_grpc.SessionServiceServicer):
    async def ListSessions(self, request: Any, context: Any) -> Any:
        await self.enter("ListSessions", request, context)
        name = f"{USER}/sessions/{request.page_token or '1'}"
        session = session_service_pb2.Session(name=name, current=not request.page_token)
        more = "" if request.page_token else "2"
        return session_service_pb2.ListSessionsResponse(sessions=[session], next_page_token=more)

    async def DeleteSession(self, request: Any, context: Any) -> Any:
        await self.enter("DeleteSession", request, context)
        return session_service_pb2.DeleteSessionResponse()

    async def EndSessions(self, request: Any, context: Any) -> Any:
        await self.enter("EndSessions", request, context)
        return session_service_pb2.EndSessionsResponse()


class _Relations(Desk, relation_service_pb2_grpc.RelationServiceServicer):
    """Blocks; what nobody asks of it here it has not."""

    async def Block(self, request: Any, context: Any) -> Any:
        await self.enter("Block", request, context)
        return relation_service_pb2.BlockResponse(
            consistency_token=f"change-{self.community.calls['Block']}"
        )


def add_identity(community: Community, server: grpc.aio.Server) -> None:
    """For `community_server`."""
    second_step_service_pb2_grpc.add_SecondStepServiceServicer_to_server(_Steps(community), server)
    session_service_pb2_grpc.add_SessionServiceServicer_to_server(_Sessions(community), server)
    relations: Any = type("Relations", (_Relations,), {})
    relations.__abstractmethods__ = frozenset()
    relation_service_pb2_grpc.add_RelationServiceServicer_to_server(relations(community), server)
