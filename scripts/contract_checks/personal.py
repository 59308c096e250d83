"""Personal data: what looks like it is classed, and none that reaches or unlocks is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor

from mesh import policy
from palestra.mesh.v1 import policy_pb2
from scripts.contract_checks import Finding, fields

EVENTS = "/events.proto"
_TELLING = re.compile(
    r"(^|_)(password|passphrase|email|phone)(_|$)|(^|_)token$|^(latitude|longitude)"
)
# They say where a list goes on, or how far a copy is to be, and open nothing.
_HARMLESS = re.compile(r"(^|_)(page|sync|consistency)_token$")
_HOLDS_NO_DATA = (
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_MESSAGE,
)
_NEVER_TOLD: dict[int, str] = {
    policy_pb2.PERSONAL_CLASS_CONTACT: "a way to reach a person",
    policy_pb2.PERSONAL_CLASS_SECRET: "a secret",
    policy_pb2.PERSONAL_CLASS_TOKEN: "a token",
}


def check(file: FileDescriptor) -> Iterator[Finding]:
    """Fields that hold personal data by their names, and have no class."""
    for message in fields.messages(iter(file.message_types_by_name.values())):
        for field in message.fields:
            if _tells(field) and not policy.personal_class(field):
                yield _of_field(file, field, "a field of this name needs a personal class")
    if file.name.endswith(EVENTS):
        yield from _told(file)


def _tells(field: FieldDescriptor) -> bool:
    if field.type in _HOLDS_NO_DATA or _HARMLESS.search(field.name):
        return False
    return _TELLING.search(field.name) is not None


def _told(file: FileDescriptor) -> Iterator[Finding]:
    seen: set[str] = set()
    for message in file.message_types_by_name.values():
        for each in fields.reachable(message, seen):
            for field in each.fields:
                what = _NEVER_TOLD.get(policy.personal_class(field))
                if what is not None:
                    yield _of_field(file, field, f"{what} never travels in an event")


def _of_field(file: FileDescriptor, field: FieldDescriptor, message: str) -> Finding:
    return Finding(file.name, field.full_name.removeprefix(f"{file.package}."), message)
