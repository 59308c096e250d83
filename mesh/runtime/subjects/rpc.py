"""DataSubjectService of every service: decode, call, encode.

Each package has the service with messages of its own; they look alike, so one class serves
all of them, by the contract's descriptors.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor

from mesh.runtime import names
from mesh.runtime.calls import Call
from mesh.runtime.server import Servicer
from mesh.runtime.subjects.subject import Piece
from mesh.runtime.subjects.whole import Erased, Subjects
from palestra.mesh.v1 import data_subject_pb2 as pb

ERASES_FOR_S = 10.0
"""Well within the method's time: a step that was begun is finished."""
NAME = "DataSubjectService"


def contract_of(service: str) -> ServiceDescriptor:
    """The service's own DataSubjectService.

    Raises:
        ModuleNotFoundError: its package has none.
    """
    module = importlib.import_module(f"palestra.{service}.v1.data_subject_service_pb2")
    found: ServiceDescriptor = module.DESCRIPTOR.services_by_name[NAME]
    return found


def servicer(service: str, subjects: Subjects) -> Servicer:
    """What serves it."""
    contract = contract_of(service)
    exported, erased, unerased = (
        message_factory.GetMessageClass(contract.methods_by_name[name].output_type)
        for name in ("ExportData", "EraseData", "ListUnerased")
    )

    class DataSubjectRpc:
        """Serves palestra.<service>.v1.DataSubjectService."""

        CONTRACT = contract

        async def ExportData(self, request: Any, call: Call) -> AsyncGenerator[Any, None]:  # noqa: ARG002
            (user,) = names.parse(request.name, "users")
            async for piece in subjects.export(user, request.cursor):
                yield exported(part=_part(piece))

        async def EraseData(self, request: Any, call: Call) -> Any:  # noqa: ARG002
            (user,) = names.parse(request.name, "users")
            things, done = await subjects.erase(user, ERASES_FOR_S)
            return erased(erased=[_thing(each) for each in things], done=done)

        async def ListUnerased(self, request: Any, call: Call) -> Any:  # noqa: ARG002
            users = [names.parse(name, "users", field="names")[0] for name in request.names]
            return unerased(names=[f"users/{user}" for user in await subjects.unerased(users)])

    for name, method in contract.methods_by_name.items():
        # The server compares it with the contract.
        getattr(DataSubjectRpc, name).__annotations__["request"] = message_factory.GetMessageClass(
            method.input_type
        )
    return DataSubjectRpc()


def _part(piece: Piece) -> pb.SubjectPart:
    return pb.SubjectPart(file=piece.file, content=piece.content, cursor=piece.cursor)


def _thing(erased: Erased) -> pb.ErasedThings:
    told = pb.ErasedThings(table=erased.table, count=erased.count)
    told.last_erase_time.FromDatetime(erased.last_at)
    return told
