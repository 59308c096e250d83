"""Confirming that it is still the same person, where a method asks for a fresh sign-in.

Decides that however many calls were refused, the person is asked once. Knows no dialogue: the
caller's own function asks.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from palestra.identity.v1 import second_step_service_pb2 as pb
from palestra.identity.v1 import second_step_service_pb2_grpc
from palestra_client._calls import Caller
from palestra_client._contract import rule_of
from palestra_client._proofs import PASSWORD, Proof, Prove, challenge_of
from palestra_client._signin import SignIn

if TYPE_CHECKING:
    from palestra.identity.v1.second_step_service_pb2_grpc import SecondStepServiceAsyncStub


class StepUp:
    """Asks once for all calls that wait for it."""

    def __init__(
        self, channel: grpc.aio.Channel, caller: Caller, signin: SignIn, prove: Prove
    ) -> None:
        self._caller = caller
        self._signin = signin
        self._prove = prove
        self._stub: SecondStepServiceAsyncStub = second_step_service_pb2_grpc.SecondStepServiceStub(
            channel
        )
        self._asking: asyncio.Task[None] | None = None

    async def fresher_than(self, stale: str) -> None:
        """Makes the access token one of a person who was just there, if it is still `stale`.

        Raises:
            PalestraError: the proof was refused.
            whatever the caller's function raises
        """
        tokens = self._signin.store.load()
        if tokens is not None and tokens.access_token != stale:
            return  # another call, or another process, was quicker
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.confirm())
        await asyncio.shield(self._asking)

    async def confirm(self) -> None:
        """Asks, and shows the answer."""
        name = self._signin.user
        rule = rule_of(pb.DESCRIPTOR, "SecondStepService", "StartReauthentication")
        begun = await self._caller.unary(
            self._stub.StartReauthentication, pb.StartReauthenticationRequest(name=name), rule
        )
        proof = await self._prove(challenge_of(begun.second_factor, step_up=True))
        request = _request(name, begun.second_factor.ticket, proof)
        rule = rule_of(pb.DESCRIPTOR, "SecondStepService", "Reauthenticate")

        async def show(access_token: str) -> tuple[str, float]:
            # Not by `unary`: nobody refreshes while this runs.
            done = await self._caller.once(self._stub.Reauthenticate, request, rule, access_token)
            return done.access_token, time.time() + done.expires_in

        await self._signin.confirm(show)


def _request(name: str, ticket: str, proof: Proof) -> pb.ReauthenticateRequest:
    if proof.kind == PASSWORD:
        return pb.ReauthenticateRequest(name=name, password=proof.value)
    return pb.ReauthenticateRequest(name=name, ticket=ticket, proof=proof.message())
