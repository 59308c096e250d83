"""What the contract says about a method that a caller must know.

Owns the reading of the policy option. Decides nothing about a single call.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

# Imported for its effect as well: without it the option is invisible, with no error.
from palestra.mesh.v1 import policy_pb2

DEFAULT_TIMEOUT_S = 10.0
"""Where a unary method's contract names no deadline."""

_HARMLESS = frozenset({policy_pb2.REPEAT_READ, policy_pb2.REPEAT_NATURAL, policy_pb2.REPEAT_KEYED})
_WITH_REQUEST_ID = frozenset({policy_pb2.REPEAT_KEYED, policy_pb2.REPEAT_STORED})


@dataclass(frozen=True, slots=True)
class Rule:
    """How one method is called."""

    path: str
    """`/palestra.training.v1.ActivityService/GetActivity`."""
    timeout_s: float
    repeatable: bool
    """Whether a second call has the effect of one."""
    takes_request_id: bool
    public: bool
    """Whether it is called without a sign-in."""


def rule_of(file: FileDescriptor, service: str, method: str) -> Rule:
    """The rule of `method` of `service` in the contract's `file`.

    Raises:
        KeyError: no such service or method.
    """
    return rule_of_method(file.services_by_name[service].methods_by_name[method])


def rule_of_method(method: MethodDescriptor) -> Rule:
    """The rule of a method."""
    policy = method.GetOptions().Extensions[policy_pb2.policy]
    return Rule(
        path=f"/{method.containing_service.full_name}/{method.name}",
        timeout_s=policy.timeout_ms / 1000 if policy.timeout_ms else DEFAULT_TIMEOUT_S,
        repeatable=policy.repeat in _HARMLESS,
        takes_request_id=policy.repeat in _WITH_REQUEST_ID,
        public=policy.access == policy_pb2.ACCESS_PUBLIC,
    )
