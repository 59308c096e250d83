"""Reading what travels beside a gRPC status.

Owns the places where the details may stand: Envoy's refusals have them in the
headers that end the call, services in the trailers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

_KEY = "grpc-status-details-bin"


def status_details(error: grpc.aio.AioRpcError) -> bytes | None:
    """The serialised google.rpc.Status; None where there is none."""
    for metadata in (error.trailing_metadata(), error.initial_metadata()):
        for key, value in cast("Iterable[tuple[str, str | bytes]]", metadata or ()):
            if key == _KEY and isinstance(value, bytes):
                return value
    return None


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of the first detail; empty where there is none."""
    packed = status_details(error)
    if packed is None:
        return ""
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(info)
    return str(info.reason)
