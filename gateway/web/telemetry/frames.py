"""WebSocket frames <-> the messages of StreamTelemetry, which go on as bytes.

A text frame is a message as canonical proto JSON, a binary frame the serialised message.
Decides what cannot be read. Never looks at what a message says.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

# The types inside a status must be known before they can be written out.
from google.rpc import (
    error_details_pb2,  # noqa: F401
    status_pb2,
)

from gateway.pages import TELEMETRY_SUBPROTOCOL
from gateway.web.telemetry import strict
from mesh.runtime.errors import MeshError
from palestra.integration.v1 import telemetry_service_pb2 as pb

LARGEST_FRAME: Final = 1 << 20
"""In bytes; the edge lets a REST body be as large."""
_LONGEST_WORDS: Final = 300
_UNREADABLE: Final = (
    json_format.ParseError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
)


class Kind(Enum):
    """How messages are written."""

    JSON = "json"
    BINARY = "binary"

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol of it, `palestra.telemetry.v1.json`."""
        return f"{TELEMETRY_SUBPROTOCOL}.{self.value}"


def kind_of(frame: str | bytes) -> Kind:
    """How a frame is written."""
    return Kind.JSON if isinstance(frame, str) else Kind.BINARY


class TooLarge(MeshError):
    """The frame is larger than any message may be."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            "INVALID_FIELD", f"the frame has {size_bytes} bytes, {LARGEST_FRAME} are possible"
        )


def read(frame: str | bytes) -> bytes:
    """A frame of the device as the serialised request.

    Raises:
        TooLarge: it is.
        MeshError: INVALID_FIELD where it is no message of the protocol; says why.
    """
    if len(frame) > LARGEST_FRAME:
        raise TooLarge(len(frame))
    if isinstance(frame, bytes):
        return _checked(frame)
    message = _parsed(frame)
    try:
        # The widest text fits, but what is written in more than one byte may not.
        return message.SerializeToString()
    except ValueError as error:
        raise _unreadable(str(error)) from None


def _checked(frame: bytes) -> bytes:
    try:
        pb.StreamTelemetryRequest.FromString(frame)
    except DecodeError:
        raise _unreadable("the bytes are no StreamTelemetryRequest") from None
    return frame


def _parsed(frame: str) -> Message:
    try:
        document = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise _unreadable(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _unreadable("not a JSON object")
    message = pb.StreamTelemetryRequest()
    strict.check(message.DESCRIPTOR, document)
    try:
        json_format.ParseDict(document, message)
    except _UNREADABLE as error:
        raise _unreadable(str(error)) from None
    return message


def _unreadable(why: str) -> MeshError:
    return MeshError("INVALID_FIELD", why[:_LONGEST_WORDS])


def write(answer: bytes, kind: Kind) -> str | bytes:
    """A serialised answer of integration's as a frame for the device.

    Raises:
        DecodeError: it is none.
    """
    if kind is Kind.BINARY:
        return answer
    # As REST has it: what is zero or empty is said, what is `optional` and absent is not.
    document = json_format.MessageToDict(
        pb.StreamTelemetryResponse.FromString(answer), always_print_fields_with_no_presence=True
    )
    return orjson.dumps(document).decode()


def error(status: status_pb2.Status, kind: Kind) -> str | bytes:
    """The last frame where the stream did not end as it should: `error`."""
    message = pb.StreamTelemetryResponse(error=status)
    if kind is Kind.BINARY:
        return message.SerializeToString()
    return orjson.dumps(json_format.MessageToDict(message)).decode()
