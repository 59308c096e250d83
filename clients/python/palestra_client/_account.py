"""A person's account: the password, ways back into it, where one is signed in.

A part of the façade; decides nothing but that who ends his own session is signed out here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc

from palestra.identity.v1 import auth_service_pb2 as auth_pb
from palestra.identity.v1 import auth_service_pb2_grpc, session_service_pb2_grpc
from palestra.identity.v1 import session_service_pb2 as pb
from palestra_client._calls import Caller
from palestra_client._contract import rule_of
from palestra_client._login import contact_of
from palestra_client._signin import SignIn

if TYPE_CHECKING:
    from palestra.identity.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from palestra.identity.v1.session_service_pb2_grpc import SessionServiceAsyncStub

PAGE = 100


class Recovery:
    """Ways back into an account, for whoever reads what comes to its address. Nobody is
    signed in for them.
    """

    def __init__(self, channel: grpc.aio.Channel, caller: Caller) -> None:
        self._caller = caller
        self._stub: AuthServiceAsyncStub = auth_service_pb2_grpc.AuthServiceStub(channel)

    async def request_password_reset(self, address: str) -> None:
        """Has a code sent; the answer is the same where nobody has the address."""
        request = auth_pb.RequestPasswordResetRequest(**contact_of(address))
        rule = rule_of(auth_pb.DESCRIPTOR, "AuthService", "RequestPasswordReset")
        await self._caller.unary(self._stub.RequestPasswordReset, request, rule)

    async def reset_password(self, address: str, code: str, new_password: str) -> None:
        """Sets the password anew; signs out everywhere."""
        request = auth_pb.ResetPasswordRequest(
            code=code, new_password=new_password, **contact_of(address)
        )
        rule = rule_of(auth_pb.DESCRIPTOR, "AuthService", "ResetPassword")
        await self._caller.unary(self._stub.ResetPassword, request, rule)

    async def unlock(self, address: str, code: str) -> None:
        """Ends the waiting that others' wrong guesses brought."""
        request = auth_pb.UnlockAccountRequest(code=code, **contact_of(address))
        rule = rule_of(auth_pb.DESCRIPTOR, "AuthService", "UnlockAccount")
        await self._caller.unary(self._stub.UnlockAccount, request, rule)


class Sessions:
    """Where somebody is signed in."""

    def __init__(
        self, channel: grpc.aio.Channel, caller: Caller, signin: SignIn, user: str
    ) -> None:
        self._caller = caller
        self._signin = signin
        self._user = user
        self._stub: SessionServiceAsyncStub = session_service_pb2_grpc.SessionServiceStub(channel)

    async def list(self) -> AsyncIterator[pb.Session]:
        """The sessions that live, the newest first, fetched page by page as they are taken."""
        rule = rule_of(pb.DESCRIPTOR, "SessionService", "ListSessions")
        request = pb.ListSessionsRequest(parent=self._user, page_size=PAGE)
        while True:
            page = await self._caller.unary(self._stub.ListSessions, request, rule)
            for session in page.sessions:
                yield session
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def end(self, session: pb.Session) -> None:
        """Ends one; one's own signs out here."""
        rule = rule_of(pb.DESCRIPTOR, "SessionService", "DeleteSession")
        request = pb.DeleteSessionRequest(name=session.name)
        await self._caller.unary(self._stub.DeleteSession, request, rule)
        if session.current:
            self._signin.end()

    async def end_others(self) -> None:
        """Ends all but this one."""
        await self._end_sessions(include_current=False)

    async def end_all(self) -> None:
        """Ends all, and signs out here."""
        await self._end_sessions(include_current=True)
        self._signin.end()

    async def _end_sessions(self, *, include_current: bool) -> None:
        rule = rule_of(pb.DESCRIPTOR, "SessionService", "EndSessions")
        request = pb.EndSessionsRequest(parent=self._user, include_current=include_current)
        await self._caller.unary(self._stub.EndSessions, request, rule)
