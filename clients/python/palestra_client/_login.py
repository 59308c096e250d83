"""Signing up, signing in, the second step, signing out.

A part of the façade: makes the calls and keeps what they answer. Asks nobody anything itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypedDict

import grpc

from palestra.identity.v1 import auth_service_pb2 as pb
from palestra.identity.v1 import auth_service_pb2_grpc, second_step_service_pb2_grpc
from palestra.identity.v1 import second_step_service_pb2 as step_pb
from palestra_client._calls import Caller
from palestra_client._contract import rule_of
from palestra_client._proofs import Proof, Prove, SecondFactorNeeded, challenge_of
from palestra_client._signin import SignIn
from palestra_client._tokens import Tokens

if TYPE_CHECKING:
    from palestra.identity.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from palestra.identity.v1.second_step_service_pb2_grpc import SecondStepServiceAsyncStub

Sign = Callable[[str], Awaitable[str]]
"""Has a passkey answer to options: both as JSON text."""


class _Pair(Protocol):
    access_token: str
    refresh_token: str
    expires_in: int


class _Contact(TypedDict, total=False):
    email: str
    phone: str


def contact_of(address: str) -> _Contact:
    """An e-mail address where there is an `@` in it, a phone number otherwise."""
    return {"email": address} if "@" in address else {"phone": address}


class Login:
    """How somebody comes to be signed in, and ends it."""

    def __init__(
        self, channel: grpc.aio.Channel, caller: Caller, signin: SignIn, prove: Prove | None
    ) -> None:
        self._caller = caller
        self._signin = signin
        self._prove = prove
        self._auth: AuthServiceAsyncStub = auth_service_pb2_grpc.AuthServiceStub(channel)
        self._steps: SecondStepServiceAsyncStub = (
            second_step_service_pb2_grpc.SecondStepServiceStub(channel)
        )

    async def register(
        self, address: str, password: str, display_name: str, language: str, country: str
    ) -> str:
        """Makes an account and signs it in; answers with `users/{user}`."""
        request = pb.RegisterRequest(
            password=password,
            display_name=display_name,
            language=language,
            country=country,
            device_token=self._signin.store.kept().device_token(address),
            **contact_of(address),
        )
        rule = rule_of(pb.DESCRIPTOR, "AuthService", "Register")
        response = await self._caller.unary(self._auth.Register, request, rule)
        return await self._entered(address, response)

    async def login(self, address: str, password: str) -> str:
        """Signs in; answers with `users/{user}`."""
        request = pb.LoginRequest(
            password=password,
            device_token=self._signin.store.kept().device_token(address),
            **contact_of(address),
        )
        rule = rule_of(pb.DESCRIPTOR, "AuthService", "Login")
        response = await self._caller.unary(self._auth.Login, request, rule)
        return await self._entered(address, response)

    async def _entered(self, address: str, response: pb.LoginResponse | pb.RegisterResponse) -> str:
        if not response.HasField("second_factor"):
            return self._begin(address, response.user, response, response.device_token)
        challenge = challenge_of(response.second_factor)
        needed = SecondFactorNeeded(challenge, response.second_factor.ticket, address)
        if self._prove is None:
            raise needed
        return await self.complete(needed, await self._prove(challenge))

    async def complete(self, needed: SecondFactorNeeded, proof: Proof) -> str:
        """The second step; answers with `users/{user}`."""
        request = step_pb.CompleteLoginRequest(ticket=needed.ticket, proof=proof.message())
        rule = rule_of(step_pb.DESCRIPTOR, "SecondStepService", "CompleteLogin")
        response = await self._caller.unary(self._steps.CompleteLogin, request, rule)
        return self._begin(needed.address, response.user, response, response.device_token)

    async def by_passkey(self, sign: Sign) -> str:
        """Signs in by a passkey alone; answers with `users/{user}`."""
        rule = rule_of(step_pb.DESCRIPTOR, "SecondStepService", "StartPasskeyLogin")
        begun = await self._caller.unary(
            self._steps.StartPasskeyLogin, step_pb.StartPasskeyLoginRequest(), rule
        )
        request = step_pb.FinishPasskeyLoginRequest(
            ticket=begun.ticket, passkey=await sign(begun.options)
        )
        rule = rule_of(step_pb.DESCRIPTOR, "SecondStepService", "FinishPasskeyLogin")
        response = await self._caller.unary(self._steps.FinishPasskeyLogin, request, rule)
        return self._begin("", response.user, response, "")

    async def refresh(self, refresh_token: str) -> Tokens:
        """The next pair; whose it is the answer does not say."""
        request = pb.RefreshTokenRequest(refresh_token=refresh_token)
        rule = rule_of(pb.DESCRIPTOR, "AuthService", "RefreshToken")
        response = await self._caller.unary(self._auth.RefreshToken, request, rule)
        return _tokens(response, "")

    async def logout(self) -> None:
        """Ends the session here and on the server; here in any case."""
        tokens = self._signin.end()
        if tokens is None or not tokens.refresh_token:
            return
        request = pb.LogoutRequest(refresh_token=tokens.refresh_token)
        rule = rule_of(pb.DESCRIPTOR, "AuthService", "Logout")
        await self._caller.unary(self._auth.Logout, request, rule)

    def _begin(self, address: str, user: str, pair: _Pair, device_token: str) -> str:
        self._signin.begin(_tokens(pair, user))
        if device_token:
            self._signin.store.change_kept(lambda kept: kept.with_device(address, device_token))
        return user


def _tokens(pair: _Pair, user: str) -> Tokens:
    return Tokens(user, pair.access_token, pair.refresh_token, time.time() + pair.expires_in)
