"""The contract's field rules, checked before a method sees its request."""

from __future__ import annotations

from google.protobuf.message import Message
from protovalidate import ValidationError, Validator

from mesh.runtime.errors import MeshError

MOST_VIOLATIONS = 20
_validator = Validator()


def check(message: Message | None) -> None:
    """Checks a message against its protovalidate rules; None is one that cannot be read.

    Raises:
        MeshError: INVALID_FIELD, with every violation by the field's path.
    """
    if message is None:
        raise MeshError("INVALID_FIELD", "the message is not of the method's type")
    try:
        _validator.validate(message)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> MeshError:
    violations = []
    for violation in error.violations[:MOST_VIOLATIONS]:
        path = violation.proto.field
        field = ".".join(part.field_name for part in path.elements) if path else ""
        violations.append((field, violation.proto.message or violation.proto.rule_id))
    text = "; ".join(f"{field}: {why}" for field, why in violations)
    return MeshError("INVALID_FIELD", text, violations=violations)
