"""The contract's field rules, checked before a method sees its request."""

from __future__ import annotations

from functools import cache
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from protovalidate import ValidationError, Validator

from mesh.runtime import broken_rules
from mesh.runtime.errors import MeshError

MOST_VIOLATIONS = 20
_validator = Validator()


def check(message: Message | None) -> None:
    """Checks a message against its protovalidate rules; None is one that cannot be read.

    Raises:
        MeshError: INVALID_FIELD, with every violation by the field's path.
    """
    if message is None:
        raise MeshError("INVALID_FIELD", "the message is not whole, or not of the method's type")
    if not has_rules(message.DESCRIPTOR):
        return
    try:
        _validator.validate(message)
    except ValidationError as error:
        raise _refusal(error, message.DESCRIPTOR) from None


@cache
def has_rules(kind: Descriptor) -> bool:
    """Whether there is anything to check: the validator copies a message to look at it."""
    return _has_rules(kind, {kind.full_name})


def _has_rules(kind: Descriptor, seen: set[str]) -> bool:
    # The stubs take the option for a module of the same name.
    if kind.GetOptions().HasExtension(validate_pb2.message):  # type: ignore[arg-type]
        return True
    if any(each.GetOptions().HasExtension(validate_pb2.oneof) for each in kind.oneofs):
        return True
    for field in kind.fields:
        if field.GetOptions().HasExtension(validate_pb2.field):
            rules = field.GetOptions().Extensions[validate_pb2.field]
            if rules.ignore != validate_pb2.IGNORE_ALWAYS:
                return True
            continue
        inner = field.message_type
        if inner is not None and inner.full_name not in seen:
            seen.add(inner.full_name)
            if _has_rules(inner, seen):
                return True
    return False


def _refusal(error: ValidationError, kind: Any) -> MeshError:
    violations = [
        (broken_rules.path_of(each), broken_rules.words_of(each, kind))
        for each in error.violations[:MOST_VIOLATIONS]
    ]
    text = "; ".join(f"{field}: {why}" for field, why in violations)
    return MeshError("INVALID_FIELD", text, violations=violations)
