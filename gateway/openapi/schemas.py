"""Messages -> JSON Schemas: one for what is answered, one for what is asked.

Owns the components of the document. An answer always has its lists, its enums and its
plain values, for the edge prints zeros too; it may lack whole messages, what is `optional`,
and whatever a read mask left out. A request may lack all but what is REQUIRED, and has no
field that the contract does not know: the edge refuses those where it is asked to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor

from gateway.openapi import bounds, needs
from gateway.openapi.comments import first_sentence
from gateway.openapi.scalars import SCALARS, WELL_KNOWN, Schema
from gateway.openapi.source import (
    IDENTIFIER,
    INPUT_ONLY,
    OUTPUT_ONLY,
    REQUIRED,
    Source,
    behaves,
    is_map,
    required_choice,
    rules_of,
)
from mesh import policy
from palestra.mesh.v1 import policy_pb2

_PREFIX = "#/components/schemas/"
ASKED, ANSWERED = "asked", "answered"


class Schemas:
    """The schemas of a contract, made as they are asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        methods = [method for method, _ in source.mappings()]
        answers = [method.descriptor.output_type for method in methods]
        requests = [method.descriptor.input_type for method in methods]
        self._answered = set(_reached(answers))
        self._partial = set(_reached(m.descriptor.output_type for m in methods if _masked(m)))
        named = {*self._answered, *_reached(requests)}
        self._short = Counter(name.rpartition(".")[2] for name in named)
        self.components: dict[str, Schema] = {}

    def answer(self, message: Descriptor) -> Schema:
        """A reference to what is answered with."""
        return self._message(message, ANSWERED)

    def request(self, message: Descriptor, without: Collection[str]) -> Schema:
        """The body of a request, without the fields that the path fills."""
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        return self._object(message, ASKED, without)

    def field(self, field: FieldDescriptor, side: str) -> Schema:
        """The schema of a field's value, with its author's words."""
        schema = self._value(field, side)
        said = self._source.said(field)
        if said:
            schema["description"] = said
        personal: Any = policy.personal_class(field)
        if personal:
            name = policy_pb2.PersonalClass.Name(personal).removeprefix("PERSONAL_CLASS_")
            schema["x-palestra-personal"] = name
            if name == "SECRET" and schema.get("type") == "string":
                schema.setdefault("format", "password")
        if side == ANSWERED and behaves(field, OUTPUT_ONLY):
            schema["readOnly"] = True
        if field.GetOptions().deprecated:
            schema["deprecated"] = True
        return schema

    def _value(self, field: FieldDescriptor, side: str) -> Schema:
        rules = rules_of(field)
        inner = field.message_type
        if inner is not None and is_map(field):
            entry = inner.fields_by_name["value"]
            values = self._single(entry, side)
            return {"type": "object", "additionalProperties": values, **bounds.of_map(rules)}
        one = self._single(field, side)
        # What is stored may be older than the rule; only what is sent is held to it.
        bound = bounds.keywords(rules, field) if side == ASKED else {}
        one |= bound
        if not field.is_repeated:
            return one
        return {"type": "array", "items": one, **(bounds.of_list(rules) if side == ASKED else {})}

    def _single(self, field: FieldDescriptor, side: str) -> Schema:
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.message_type is not None:
            return self._message(field.message_type, side)
        return dict(SCALARS[field.type])

    def _message(self, message: Descriptor, side: str) -> Schema:
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        both = side == ASKED and message.full_name in self._answered
        name = self._name(message) + ("Input" if both else "")
        if name not in self.components:
            # The name is taken first: a message may hold itself.
            self.components[name] = {}
            self.components[name] = self._object(message, side, ())
        return {"$ref": _PREFIX + name}

    def _object(self, message: Descriptor, side: str, without: Collection[str]) -> Schema:
        unseen = INPUT_ONLY if side == ANSWERED else OUTPUT_ONLY
        fields = [f for f in message.fields if f.name not in without and not behaves(f, unseen)]
        schema: Schema = {"type": "object"}
        if said := self._words(message):
            schema["description"] = said
        schema["properties"] = {f.json_name: self.field(f, side) for f in fields}
        needed = _asked(fields) if side == ASKED else self._always(message, fields)
        if needed:
            schema["required"] = needed
        shut_out = dict(_excluded(each) for oneof in _choices(message) for each in oneof.fields)
        if shut_out:
            schema["dependentSchemas"] = shut_out
        if side == ASKED:
            schema |= _one_needed(message, without)
            schema["additionalProperties"] = False
        return schema

    def _words(self, message: Descriptor) -> str:
        said = self._source.said(message)
        # Google's own messages come with an essay.
        foreign = message.full_name.startswith("google.")
        return f"{first_sentence(said)}." if foreign and said else said

    def _always(self, message: Descriptor, fields: Iterable[FieldDescriptor]) -> list[str]:
        if message.full_name in self._partial:
            return []
        return [f.json_name for f in fields if not f.has_presence]

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = self._name(enum)
        self.components.setdefault(name, self._enumeration(enum))
        return {"$ref": _PREFIX + name}

    def _enumeration(self, enum: EnumDescriptor) -> Schema:
        schema: Schema = {"type": "string", "enum": [value.name for value in enum.values]}
        if said := self._source.said(enum):
            schema["description"] = said
        told = {
            v.name: self._source.comments.get(f"{enum.full_name}.{v.name}", "") for v in enum.values
        }
        if any(told.values()):
            schema["x-enumDescriptions"] = told
        return schema

    def _name(self, thing: Descriptor | EnumDescriptor) -> str:
        alone = self._short[thing.name] < 2
        return str(thing.name if alone else thing.full_name.removeprefix("palestra."))


def identifier_fields(message: Descriptor) -> set[str]:
    """The names of the fields that hold a resource's own name: the path has it, or the server."""
    return {field.name for field in message.fields if behaves(field, IDENTIFIER)}


def asks_for_something(body: Schema) -> bool:
    """Whether a body of nothing is refused."""
    return not body.keys().isdisjoint({"required", "anyOf", "allOf"})


def _masked(method: policy.Method) -> bool:
    mask = method.descriptor.input_type.fields_by_name.get("read_mask")
    return mask is not None and mask.message_type is not None


def _asked(fields: Iterable[FieldDescriptor]) -> list[str]:
    return [f.json_name for f in fields if behaves(f, REQUIRED) or needs.needed(rules_of(f), f)]


def _choices(message: Descriptor) -> list[OneofDescriptor]:
    # An `optional` field is a choice of one, in a oneof that nobody wrote.
    return [each for each in message.oneofs if len(each.fields) > 1]


def _excluded(field: FieldDescriptor) -> tuple[str, Schema]:
    """Where the field is, the others of its choice are not."""
    oneof = field.containing_oneof
    assert oneof is not None
    others = [each.json_name for each in oneof.fields if each is not field]
    return field.json_name, {"properties": dict.fromkeys(others, False)}


def _one_needed(message: Descriptor, without: Collection[str]) -> Schema:
    """That one of each choice is there, where the contract asks for it."""
    asked = [
        {"anyOf": [{"required": [each.json_name]} for each in oneof.fields]}
        for oneof in message.oneofs
        if required_choice(oneof) and not any(each.name in without for each in oneof.fields)
    ]
    return asked[0] if len(asked) == 1 else {"allOf": asked} if asked else {}


def _reached(messages: Iterable[Descriptor]) -> Iterator[str]:
    """The full names of the messages and enums, and of all that they hold."""
    waiting, seen = list(messages), set()
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        if message.full_name in WELL_KNOWN:
            continue
        yield message.full_name
        for field in message.fields:
            if field.message_type is not None:
                waiting.append(field.message_type)
            if field.enum_type is not None and field.enum_type.full_name not in seen:
                seen.add(field.enum_type.full_name)
                yield field.enum_type.full_name
