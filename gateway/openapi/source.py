"""The contract with its authors' words: what the rest of the document is made from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Imported for its effect, before any descriptor is read: without it the rules of
# buf.validate are invisible, with no error.
from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    MethodDescriptor,
    OneofDescriptor,
)

from gateway.openapi.comments import comments
from mesh import policy
from mesh.policy import Contract, HttpRule, Method

_FIELD = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")
REQUIRED = field_behavior_pb2.REQUIRED
OUTPUT_ONLY = field_behavior_pb2.OUTPUT_ONLY
INPUT_ONLY = field_behavior_pb2.INPUT_ONLY
IDENTIFIER = field_behavior_pb2.IDENTIFIER


@dataclass(frozen=True, slots=True)
class Source:
    """A contract and its comments."""

    contract: Contract
    comments: Mapping[str, str]
    camel: Mapping[str, str]
    """How the fields of requests and answers are called in JSON."""

    def said(self, thing: Descriptor | EnumDescriptor | FieldDescriptor | MethodDescriptor) -> str:
        """What its author wrote, with fields called as in JSON; empty for nothing."""
        return _FIELD.sub(self._in_json, self.comments.get(thing.full_name, ""))

    def _in_json(self, quoted: re.Match[str]) -> str:
        return f"`{self.camel.get(quoted[1], quoted[1])}`"

    def mappings(self) -> Iterator[tuple[Method, HttpRule]]:
        """Every REST mapping of a method that people may call, in the contract's order."""
        for method in self.contract.methods.values():
            if method.policy.access != policy.SERVICE:
                for rule in method.http:
                    yield method, rule


def source_of(descriptor_set: bytes) -> Source:
    """Reads a compiled contract, which must hold its source positions."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    contract = policy.contract_of(policy.files_of(descriptor_set))
    return Source(contract, comments(files), dict(_camel(contract)))


def _camel(contract: Contract) -> Iterator[tuple[str, str]]:
    for method in contract.methods.values():
        for message in (method.descriptor.input_type, method.descriptor.output_type):
            yield from ((field.name, field.json_name) for field in message.fields)


def behaves(field: FieldDescriptor, behavior: int) -> bool:
    """Whether the field has one of google.api.field_behavior."""
    return behavior in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """The field's rules of buf.validate; empty where it has none."""
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules


def required_choice(oneof: OneofDescriptor) -> bool:
    """Whether one field of the choice must be there."""
    return bool(oneof.GetOptions().Extensions[validate_pb2.oneof].required)


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
