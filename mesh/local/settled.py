"""Whether the running whole can be used: port, proxies, and a way to every worker.

Decides the last step of a start, after every process serves by itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from mesh.local import envoy, procfs
from mesh.local.errors import StackError
from mesh.local.places import Places, read_json

_WAIT_S = 20.0
_LOOK_S = 0.05


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
    """Whether the node proxy holds every worker for healthy that may have traffic.

    It asks a new worker by itself before it sends the first call.
    """
    endpoints = read_json(places.endpoints) or {}
    try:
        known = await asyncio.wait_for(envoy.get(places.run / "node.admin.sock", "/clusters"), 5.0)
    except (OSError, EOFError, TimeoutError):
        return False
    paths = [path for each in endpoints.values() for path in each]
    return all(f"{path}::health_flags::healthy\n".encode() in known for path in paths)


def _said(places: Places) -> str:
    report = read_json(places.control) or {}
    rejected = [str(each.get("error")) for each in report.get("rejected", [])]
    connected = ", ".join(report.get("connected", [])) or "none"
    return f"connected proxies: {connected}; rejected: {'; '.join(rejected) or 'nothing'}"
