"""A valid request of any message of the contract, made from its own rules."""

from __future__ import annotations

import re
import uuid
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mesh import policy
from mesh.runtime import validation
from scripts.contract_checks import templates

_THING = uuid.UUID("0190b6f0-0000-7000-8000-000000000001")
LAST_CALLS = frozenset({"DeleteSession", "EndSessions", "RequestErasure", "ChangePassword"})
"""What ends the caller's own sign-in: of whatever came after it, only that would be heard."""
_PLACE = re.compile(r"\[[^]]*\]\{[^}]*\}")


def request(method: policy.Method, owner: uuid.UUID) -> Message:
    """A request that keeps the contract's rules; what it names is `owner`'s.

    Raises:
        MeshError: the rules ask for more than this knows how to make.
    """
    made: Message = message_factory.GetMessageClass(method.descriptor.input_type)()
    _fill(made, method.descriptor.input_type, owner)
    if method.policy.owner:
        _name_owner(made, method, owner)
    validation.check(made)
    return made


def _fill(message: Any, descriptor: Descriptor, owner: uuid.UUID) -> None:
    for field in descriptor.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if field.message_type is not None:
            if rules.required and not field.is_repeated:
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, field.message_type, owner)
            elif field.is_repeated and rules.repeated.min_items:
                _fill(getattr(message, field.name).add(), field.message_type, owner)
        elif field.is_repeated and rules.repeated.min_items:
            getattr(message, field.name).append(_string(rules.repeated.items.string, owner))
        elif field.enum_type is not None and rules.enum.not_in:
            taken = {each.number for each in field.enum_type.values}
            setattr(message, field.name, max(taken.difference(rules.enum.not_in)))
        elif field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            value = _string(rules.string, owner)
            if value and _is_wanted(field):
                setattr(message, field.name, value)


def _is_wanted(field: FieldDescriptor) -> bool:
    """Of a choice the first is made, where one must be."""
    choice = field.containing_oneof
    if choice is None:
        return True
    must = choice.GetOptions().Extensions[validate_pb2.oneof].required
    return bool(must) and choice.fields[0] is field


def _string(rules: validate_pb2.StringRules, owner: uuid.UUID) -> str:
    if rules.pattern:
        if re.fullmatch(rules.pattern, ""):
            return ""
        return _name(_PLACE.sub("*", rules.pattern.strip("^$")), owner)
    return str(_THING) if rules.uuid else "x" * (rules.len or rules.min_len)


def _name(shape: str, owner: uuid.UUID) -> str:
    """`users/*/activities/*` -> a name below the owner's."""
    first, *rest = shape.split("*")
    return first + "".join(
        f"{owner if number == 0 else _THING}{part}" for number, part in enumerate(rest)
    )


def _name_owner(message: Any, method: policy.Method, owner: uuid.UUID) -> None:
    """Names the owner's thing where the pattern did not: as the path template has it."""
    *path, leaf = method.policy.owner.split(".")
    for part in path:
        message = getattr(message, part)
    if getattr(message, leaf).startswith(f"users/{owner}"):
        return
    for rule in method.http:
        for variable in templates.parse(rule.path).variables:
            if variable.path == method.policy.owner:
                setattr(message, leaf, _name("/".join(variable.segments), owner))
                return
    setattr(message, leaf, f"users/{owner}")
