"""The descriptor set as the transcoder needs it.

Owns what of the contract goes to the edge: every message and mapping, none of
the comments. Never changes a mapping.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from mesh import policy
from mesh.policy import Contract, Method
from palestra.mesh.v1 import policy_pb2

_HTTP_BODY = "google/api/httpbody.proto"
_OF_ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")


def for_edge(descriptor_set: bytes) -> bytes:
    """The set without source positions and comments, which are most of its bytes."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        file.ClearField("source_code_info")
        _pass_rendered(file)
    return files.SerializeToString(deterministic=True)


def _pass_rendered(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Lets answers through untouched whose JSON the service writes."""
    rendered = [
        method
        for service in file.service
        for method in service.method
        if method.options.Extensions[policy_pb2.policy].rendering == policy.BY_SERVICE
    ]
    for method in rendered:
        method.output_type = ".google.api.HttpBody"
    if rendered and _HTTP_BODY not in file.dependency:
        file.dependency.append(_HTTP_BODY)


def for_stream(descriptor_set: bytes, method: Method) -> bytes:
    """What of `for_edge`'s set one method needs: its file's, and what an error may carry."""
    whole = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    by_name = {file.name: file for file in whole.file}
    needed: set[str] = set()
    waiting = [method.descriptor.containing_service.file.name, *_OF_ERRORS]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            waiting += by_name[name].dependency
    kept = descriptor_pb2.FileDescriptorSet(
        file=[file for file in whole.file if file.name in needed]
    )
    return kept.SerializeToString(deterministic=True)


def streamed(contract: Contract) -> tuple[Method, ...]:
    """The methods that stream their answers to REST."""
    return tuple(
        method
        for method in contract.methods.values()
        if method.http
        and method.descriptor.server_streaming
        and method.policy.access != policy.SERVICE
    )


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
