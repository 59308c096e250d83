"""The contract's limits, raised as an operator would: one person does the work of many.

The limiting itself stays in the way of every request.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FileDescriptor

from mesh import policy
from palestra.identity.v1 import auth_service_pb2
from palestra.integration.v1 import telemetry_service_pb2
from palestra.training.v1 import activity_service_pb2

REQUESTS = 10_000_000
_FILES: tuple[FileDescriptor, ...] = (
    auth_service_pb2.DESCRIPTOR,
    telemetry_service_pb2.DESCRIPTOR,
    activity_service_pb2.DESCRIPTOR,
)


def raised() -> dict[str, Any]:
    """The content of overrides.json."""
    methods = [
        policy.method_of(descriptor)
        for file in _FILES
        for service in file.services_by_name.values()
        for descriptor in service.methods
    ]
    return {
        "methods": {
            method.path: {"limit": {"requests": REQUESTS}}
            for method in methods
            if method.policy.limit.requests
        }
    }
