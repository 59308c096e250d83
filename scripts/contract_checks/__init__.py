"""The checks of the contract: one module per concern, each yielding findings.

A check that `mesh.policy` already makes impossible is not repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something in the contract that the build refuses."""

    file: str
    """As protoc names it, or the path of a Python file."""
    method: str
    """`Service.Method`, or the message's field, the enum's value, the class at fault."""
    message: str
    """What is wrong."""

    def __str__(self) -> str:
        """One line for people and editors."""
        return f"{self.file}: {self.method}: {self.message}"


def of_method(method: MethodDescriptor, message: str) -> Finding:
    """A finding about a method."""
    service = method.containing_service
    return Finding(service.file.name, f"{service.name}.{method.name}", message)
