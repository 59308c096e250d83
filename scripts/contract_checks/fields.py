"""Field paths and message trees: what the other checks ask of request messages."""

from __future__ import annotations

from collections.abc import Iterator

# Imported for its effect: without it the rules of buf.validate are invisible, with no error.
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

MESSAGE = FieldDescriptor.TYPE_MESSAGE
STRING = FieldDescriptor.TYPE_STRING


def find(message: Descriptor, path: str) -> list[FieldDescriptor] | None:
    """The fields along a dotted path; None where one of them does not exist."""
    found: list[FieldDescriptor] = []
    holder: Descriptor | None = message
    for name in path.split("."):
        field = holder.fields_by_name.get(name) if holder else None
        if field is None:
            return None
        found.append(field)
        holder = field.message_type
    return found


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def pattern(field: FieldDescriptor) -> str:
    """The regular expression that the field's value must match; empty where there is none."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return str(rules.string.pattern)


def messages(descriptors: Iterator[Descriptor]) -> Iterator[Descriptor]:
    """The messages and those nested in them, without the entries of maps."""
    for descriptor in descriptors:
        if not descriptor.GetOptions().map_entry:
            yield descriptor
            yield from messages(iter(descriptor.nested_types))


def reachable(descriptor: Descriptor, seen: set[str] | None = None) -> Iterator[Descriptor]:
    """A message and every message that its fields lead to, each once."""
    seen = set() if seen is None else seen
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    yield descriptor
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from reachable(field.message_type, seen)
