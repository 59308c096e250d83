"""Whether the running whole can be used: port, proxies, and a way to every worker.

Decides the last step of a start, after every process serves by itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from mesh import catalog
from mesh.local import envoy, procfs
from mesh.local.errors import StackError
from mesh.local.places import Places, read_json
from mesh.local.spec import Spec

_WAIT_S = 20.0
_LOOK_S = 0.05
_FORGET_S = 5.0
_ANSWER_S = 5.0


def _taken(port: int) -> StackError:
    return StackError(f"port {port} is taken by another program; choose another with --port.")


def refuse_taken_port(host: str, port: int) -> None:
    """Raises StackError where somebody listens on the port already, or it is forbidden."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise StackError(
                f"this user may not listen on port {port}; choose one above 1023 with --port."
            ) from None
        except OSError:
            raise _taken(port) from None


def check(places: Places, port: int) -> Callable[[], Awaitable[None]]:
    """Waits for the mesh, and refuses a port that is shared.

    Two Envoys may listen on one port without noticing (SO_REUSEPORT), where both
    started at the same instant; each would get half of the other's calls.
    """

    async def settled() -> None:
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while not (_agreed(places) and await _routed(places) and _alone(port)):
            if asyncio.get_running_loop().time() > deadline:
                raise StackError(
                    f"the mesh does not come together within {_WAIT_S:.0f} s: {_said(places)}. "
                    f"See {places.log('control')} and {places.log('edge')}."
                )
            _alone(port)
            await asyncio.sleep(_LOOK_S)

    return settled


def _alone(port: int) -> bool:
    """Whether somebody listens on the port by now. Raises StackError where several do."""
    count = procfs.listeners(port)
    if count > 1:
        raise _taken(port)
    return count == 1


def _agreed(places: Places) -> bool:
    """The control plane's word that both proxies took everything, token keys included."""
    return (read_json(places.control) or {}).get("ready") is True


async def _routed(places: Places) -> bool:
    """Whether the proxies hold every worker for healthy that may have traffic.

    They ask a new worker by themselves before they send the first call.
    """
    endpoints = read_json(places.endpoints) or {}
    parts = {part.name for part in catalog.PARTS}
    known = {
        "node": [path for name, each in endpoints.items() if name not in parts for path in each],
        catalog.EDGE: [path for name, each in endpoints.items() if name in parts for path in each],
    }
    return all([await _healthy(places, proxy, paths) for proxy, paths in known.items()])


async def routed(places: Places, spec: Spec) -> None:
    """Waits until the proxy that calls a process holds it for healthy.

    Raises:
        StackError: it does not in time.
    """
    deadline = asyncio.get_running_loop().time() + _WAIT_S
    while not await _healthy(places, _proxy_of(spec), [str(spec.endpoint)]):
        if asyncio.get_running_loop().time() > deadline:
            raise StackError(
                f"{spec.name} serves, but the mesh does not send it calls within "
                f"{_WAIT_S:.0f} s: {_said(places)}."
            )
        await asyncio.sleep(_LOOK_S)


async def forgotten(places: Places, spec: Spec) -> None:
    """Waits until the proxy that called a process sends it no more calls.

    Not for long: where the mesh is away itself, the process's own draining has to do.
    """
    deadline = asyncio.get_running_loop().time() + _FORGET_S
    while await _known(places, _proxy_of(spec), str(spec.endpoint)):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(_LOOK_S)


def _proxy_of(spec: Spec) -> str:
    return catalog.EDGE if spec.service in {part.name for part in catalog.PARTS} else "node"


async def _known(places: Places, proxy: str, path: str) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_S):
            found = await envoy.get(places.run / f"{proxy}.admin.sock", "/clusters")
    except (OSError, EOFError, TimeoutError):
        return True
    return f"::{path}::".encode() in found


async def _healthy(places: Places, proxy: str, paths: list[str]) -> bool:
    admin = places.run / f"{proxy}.admin.sock"
    try:
        async with asyncio.timeout(_ANSWER_S):
            known = await envoy.get(admin, "/clusters")
    except (OSError, EOFError, TimeoutError):
        return False
    return all(f"{path}::health_flags::healthy\n".encode() in known for path in paths)


def _said(places: Places) -> str:
    report = read_json(places.control) or {}
    rejected = [str(each.get("error")) for each in report.get("rejected", [])]
    connected = ", ".join(report.get("connected", [])) or "none"
    return f"connected proxies: {connected}; rejected: {'; '.join(rejected) or 'nothing'}"
