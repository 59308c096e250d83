"""All services' things of one person, as identity asks for them: over the mesh, its own here.

Owns the calls and how long a silent answer is waited for. Never retries: who asks keeps
count of what he has.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC
from typing import Any

import grpc
from google.protobuf import message_factory

from mesh import catalog
from mesh.runtime.channel import MeshChannel
from mesh.runtime.errors import Unavailable
from mesh.runtime.subjects.rpc import ERASES_FOR_S, contract_of
from mesh.runtime.subjects.subject import Piece
from mesh.runtime.subjects.whole import Erased, Subjects

SILENT_S = 30.0
"""A service that says nothing for so long does not answer."""


class Peers:
    """Every service of the catalogue."""

    def __init__(self, mesh: MeshChannel, here: str, own: Subjects) -> None:
        self._mesh = mesh
        self._here = here
        self._own = own

    @property
    def services(self) -> tuple[str, ...]:
        """Their names; this one first."""
        others = sorted(each.name for each in catalog.SERVICES if each.name != self._here)
        return (self._here, *others)

    async def export(self, service: str, user: uuid.UUID, cursor: str) -> AsyncIterator[Piece]:
        """What a service keeps of a person, after a cursor.

        Raises:
            Unavailable: it does not answer.
        """
        if service == self._here:
            async for piece in self._own.export(user, cursor):
                yield piece
            return
        ask, request, answer = self._method(service, "ExportData")
        call = self._mesh.unary_stream(ask, request.SerializeToString, answer.FromString)(
            request(name=f"users/{user}", cursor=cursor)
        )
        answers = aiter(call)
        try:
            while True:
                async with asyncio.timeout(SILENT_S):
                    told = await anext(answers, None)
                if told is None:
                    return
                yield Piece(told.part.file, told.part.content, told.part.cursor)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            raise Unavailable(f"{service} does not give out") from error
        finally:
            call.cancel()

    async def erase(self, service: str, user: uuid.UUID) -> tuple[list[Erased], bool]:
        """Erases some of what a service keeps of a person; all so far, and whether it is all.

        Raises:
            Unavailable: it does not answer.
        """
        if service == self._here:
            return await self._own.erase(user, ERASES_FOR_S)
        told = await self._ask(service, "EraseData", {"name": f"users/{user}"})
        found = [
            Erased(each.table, each.count, each.last_erase_time.ToDatetime(UTC))
            for each in told.erased
        ]
        return found, told.done

    async def unerased(self, service: str, users: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Those of at most 1,000 people whom a service was never told to erase.

        Raises:
            Unavailable: it does not answer.
        """
        if service == self._here:
            return await self._own.unerased(users)
        named = [f"users/{each}" for each in users]
        told = await self._ask(service, "ListUnerased", {"names": named})
        return [uuid.UUID(name.removeprefix("users/")) for name in told.names]

    def _method(self, service: str, name: str) -> tuple[str, Any, Any]:
        contract = contract_of(service)
        method = contract.methods_by_name[name]
        request, answer = (
            message_factory.GetMessageClass(kind)
            for kind in (method.input_type, method.output_type)
        )
        return f"/{contract.full_name}/{name}", request, answer

    async def _ask(self, service: str, method: str, fields: Mapping[str, Any]) -> Any:
        path, request, answer = self._method(service, method)
        ask = self._mesh.unary_unary(path, request.SerializeToString, answer.FromString)
        try:
            return await ask(request(**fields))
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"{service} does not answer") from error
