"""Whether a stream over REST can say how it ends: there, an error would look like an end."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor

from mesh import policy
from scripts.contract_checks import Finding, of_method

_WORDS = (
    "a stream over REST says how it ends: its answer needs a oneof with `heartbeat` (time: "
    "google.protobuf.Timestamp) and `ended` (reason: an enum with …_RESUMABLE and …_FAILED; "
    "error: google.rpc.Status)"
)


def check(method: MethodDescriptor) -> Iterator[Finding]:
    """What is wrong with the answers of a stream."""
    streamed = method.server_streaming and not method.client_streaming
    if streamed and policy.http_rules(method) and policy.ending_of(method.output_type) is None:
        yield of_method(method, _WORDS)
