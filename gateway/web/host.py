"""What the process gives to those who mount routes in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from gateway.web.settings import WebSettings

if TYPE_CHECKING:
    import grpc.aio

_LOOK_S = 0.05


@dataclass(eq=False)
class Host:
    """One process, from its start to its end."""

    settings: WebSettings
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process will end: the health page says so, all else goes on."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when new requests go elsewhere: what is long ends itself, within the grace."""
    work: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    """What runs beside the requests until the process ends."""
    under_way: set[object] = field(default_factory=set)
    """What is long and not yet ended; the process waits for it at its end."""

    @cached_property
    def mesh(self) -> grpc.aio.Channel:
        """The way to the services, as the edge; made when it is first needed."""
        from grpc import aio

        from mesh.runtime.channel import OPTIONS

        return aio.insecure_channel(self.settings.mesh, options=OPTIONS)

    async def idle(self) -> None:
        """Waits until nothing long is under way."""
        while self.under_way:
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Closes what was opened."""
        if "mesh" in self.__dict__:
            await self.mesh.close(None)


Mount = Callable[[Host], Sequence[BaseRoute]]
"""What a package registers: its routes, for this process. Their paths stand in
`gateway.pages`, or the edge leads nobody there."""
