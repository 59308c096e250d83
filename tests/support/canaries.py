"""Canaries: a value of its own in every personal field of every request of the contract.

Owns what a value looks like so that it gets as far as it can; what was written is looked
through for them, and for the personal values that answers brought.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from mesh import policy
from palestra.mesh.v1 import policy_pb2

TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
SHORTEST = 8
"""What is shorter is found by chance."""
_ANSWERED = (*policy.SECRETS, policy_pb2.PERSONAL_CLASS_CONTACT)
_DEEPEST = 6


@dataclass
class Canaries:
    """The values that were sent and those that came, by the field that they were in."""

    flown: dict[str, str] = field(default_factory=dict)
    """The field of each value."""
    sent_fields: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fill(self, message: Any, descriptor: Descriptor, depth: int = 0) -> None:
        """Puts a value into each personal text of a message, and of those within it."""
        for each in descriptor.fields:
            if each.is_repeated or each.containing_oneof is not None:
                continue
            if each.message_type is not None:
                if depth < _DEEPEST and _is_personal(each.message_type):
                    self.fill(getattr(message, each.name), each.message_type, depth + 1)
            elif policy.personal_class(each) and each.type in TEXTS:
                self._put(message, each)

    def answered(self, message: Message) -> None:
        """Remembers what an answer brought that opens doors, or reaches somebody."""
        for each, value in message.ListFields():
            values = list(value) if each.is_repeated else [value]
            if each.message_type is not None:
                if not each.message_type.GetOptions().map_entry:
                    for inner in values:
                        self.answered(inner)
            elif policy.personal_class(each) in _ANSWERED and each.type in TEXTS:
                for text in values:
                    shown = text if isinstance(text, str) else text.hex()
                    if len(shown) >= SHORTEST:
                        self.flown[shown] = each.full_name

    def _put(self, message: Any, each: FieldDescriptor) -> None:
        rules = each.GetOptions().Extensions[validate_pb2.field].string
        text = f"canary{next(self._numbers):05d}bird"
        if "email" in each.name or "address" in each.name:
            text += "@example.com"
        text = text.ljust(rules.min_len, "x")
        if rules.HasField("max_len") and len(text) > rules.max_len:
            return
        setattr(message, each.name, text.encode() if each.type == TEXTS[1] else text)
        self.flown[text] = each.full_name
        self.sent_fields.add(each.full_name)


def personal_texts(descriptor: Descriptor, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """The personal texts that `fill` has a value for, by their full names."""
    if descriptor.full_name in above or len(above) > _DEEPEST:
        return
    for each in descriptor.fields:
        if each.is_repeated or each.containing_oneof is not None:
            continue
        if each.message_type is not None:
            yield from personal_texts(each.message_type, above | {descriptor.full_name})
        elif policy.personal_class(each) and each.type in TEXTS:
            yield each.full_name


def _is_personal(descriptor: Descriptor) -> bool:
    return next(personal_texts(descriptor), None) is not None


def forms(value: str) -> tuple[str, ...]:
    """How a value may have been written."""
    packed = value.encode()
    return value, packed.hex(), base64.b64encode(packed).decode().rstrip("=")
