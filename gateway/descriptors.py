"""The descriptor set as the transcoder needs it.

Owns what of the contract goes to the edge: every message and mapping, none of
the comments. Never changes a mapping.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from mesh import policy
from mesh.policy import Contract


def for_edge(descriptor_set: bytes) -> bytes:
    """The set without source positions and comments, which are most of its bytes."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        file.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def transcoded_services(contract: Contract) -> tuple[str, ...]:
    """The full names of the gRPC services of which something is served as REST."""
    return tuple(
        sorted(
            {
                method.descriptor.containing_service.full_name
                for method in contract.methods.values()
                if method.http and method.policy.access != policy.SERVICE
            }
        )
    )
