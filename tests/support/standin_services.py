"""Every service of the contract behind the real gate, with methods that only answer."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from mesh import policy
from mesh.runtime import Call
from mesh.runtime.gate import Gate
from mesh.runtime.proof import Proof
from mesh.runtime.server import Server, Servicer
from mesh.runtime.tokens import PublicKey, Verifier

PROOF = "a proof of the mesh"


def generated(contract: policy.Contract) -> list[ServiceDescriptor]:
    """The contract's services, as the generated modules have them."""
    files = {method.descriptor.containing_service.file.name for method in contract.methods.values()}
    found: list[ServiceDescriptor] = []
    for name in sorted(files):
        importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        file = descriptor_pool.Default().FindFileByName(name)
        found += file.services_by_name.values()
    return found


def standin(service: ServiceDescriptor) -> Servicer:
    """A servicer whose every method answers with one empty message."""
    methods = {method.name: _answering(method) for method in service.methods}
    kind = type(service.name, (), {"CONTRACT": service, **methods})
    made: Servicer = kind()
    return made


def _answering(method: MethodDescriptor) -> Callable[..., Any]:
    answer = message_factory.GetMessageClass(method.output_type)

    async def once(_self: object, request: Any, call: Call) -> Any:
        return answer()

    async def stream(_self: object, request: Any, call: Call) -> AsyncIterator[Any]:
        only: Any = answer()
        if policy.ending_of(method.output_type):
            only.ended.SetInParent()
        yield only

    run: Callable[..., Any] = stream if method.server_streaming else once
    run.__annotations__ = {"request": message_factory.GetMessageClass(method.input_type)}
    return run


async def serve(
    folder: Path,
    servicers: Iterable[Servicer],
    keys: Callable[[], Awaitable[list[PublicKey]]],
    meanings: dict[str, policy.Meaning] | None = None,
) -> tuple[Server, str]:
    """Starts a server of the runtime on a unix socket; gives it and its address."""
    proof = folder / "proof"
    proof.write_text(PROOF)
    gate = Gate("standin", Proof(proof), Verifier(keys), None, meanings or {})
    address = f"unix:{folder}/s.sock"
    server = Server(address, servicers, gate)
    await server.start()
    return server, address
