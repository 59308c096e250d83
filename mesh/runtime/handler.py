"""What a service declares to hear of other services' events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from mesh import policy
from mesh.runtime.sql import Session
from palestra.mesh.v1.event_pb2 import Event

Run = Callable[[Session, Any, Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    """What a service does when another tells of something."""

    name: str
    """Names the handler in the inbox; never changes."""
    event: type[Message]
    """The publisher's message."""
    run: Run
    """Makes the change on the session that it is given, and on nothing else."""
    commutative: bool = False
    """Whether a key may go on after one of its messages was given up; else it is parked."""

    @property
    def type(self) -> str:
        """The event's full name."""
        return self.event.DESCRIPTOR.full_name

    @property
    def publisher(self) -> str:
        """The service that publishes the event."""
        return policy.service_of_package(self.event.DESCRIPTOR.file.package)
