"""The contract's field rules (buf.validate) in the words of JSON Schema.

Owns the translation. A rule that JSON Schema has no word for is left to the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway.openapi import decimals, needs

Keywords = dict[str, Any]

_NUMBERS = {
    "gte": "minimum",
    "lte": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
_FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
# Google's own messages have their rules in prose.
_OF_DATES = {
    "google.type.Date.year": 9999,
    "google.type.Date.month": 12,
    "google.type.Date.day": 31,
}
# Whole numbers that travel as strings have no smallest or largest in JSON Schema, but a pattern.
_STRINGS = {
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}


def keywords(rules: validate_pb2.FieldRules, field: FieldDescriptor) -> Keywords:
    """What a single value of the field must be like."""
    kind = rules.WhichOneof("type")
    if field.full_name in _OF_DATES:
        return {"minimum": 0, "maximum": _OF_DATES[field.full_name]}
    if kind is None or rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return {}
    if kind == "repeated":
        return keywords(rules.repeated.items, field)
    if kind == "string":
        return _of_string(rules.string)
    if kind == "enum":
        return _of_enum(rules.enum, field)
    return _of_any_number(getattr(rules, kind), field) if kind in needs.NUMERIC else {}


def of_list(rules: validate_pb2.FieldRules) -> Keywords:
    """What the list itself must be like."""
    if rules.WhichOneof("type") != "repeated" or rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return {}
    said = {"min_items": "minItems", "max_items": "maxItems"}
    found: Keywords = {
        word: getattr(rules.repeated, name) for name, word in _given(rules.repeated, said)
    }
    if rules.repeated.unique:
        found["uniqueItems"] = True
    return found


def of_map(rules: validate_pb2.FieldRules) -> Keywords:
    """What the map itself must be like."""
    if rules.WhichOneof("type") != "map":
        return {}
    said = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
    return {word: getattr(rules.map, name) for name, word in _given(rules.map, said)}


def _of_string(rules: validate_pb2.StringRules) -> Keywords:
    said = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
    found: Keywords = {word: getattr(rules, name) for name, word in _given(rules, said)}
    if rules.HasField("len"):
        found |= {"minLength": rules.len, "maxLength": rules.len}
    if rules.HasField("const"):
        found["const"] = rules.const
    if getattr(rules, "in"):
        found["enum"] = list(getattr(rules, "in"))
    known = rules.WhichOneof("well_known")
    if known in _FORMATS:
        found["format"] = _FORMATS[known]
    return found


def _of_any_number(rules: Any, field: FieldDescriptor) -> Keywords:
    return _of_whole(rules, field) if field.cpp_type in _STRINGS else _of_number(rules)


def _of_number(rules: Any) -> Keywords:
    found: Keywords = {word: getattr(rules, name) for name, word in _given(rules, _NUMBERS)}
    if rules.HasField("const"):
        found["const"] = rules.const
    if getattr(rules, "in"):
        found["enum"] = list(getattr(rules, "in"))
    return found


def _of_enum(rules: validate_pb2.EnumRules, field: FieldDescriptor) -> Keywords:
    assert field.enum_type is not None
    refused = [each.name for each in field.enum_type.values if not needs.passes(rules, each.number)]
    return {"not": {"enum": refused}} if refused else {}


def _of_whole(rules: Any, field: FieldDescriptor) -> Keywords:
    """A whole number that travels as a string: what it may be, as a pattern and in words."""
    least, most = _STRINGS[field.cpp_type]
    low, high = least, most
    for name, step in (("gte", 0), ("gt", 1)):
        low = getattr(rules, name) + step if rules.HasField(name) else low
    for name, step in (("lte", 0), ("lt", -1)):
        high = getattr(rules, name) + step if rules.HasField(name) else high
    if (low, high) == (least, most):
        return {}
    return {"pattern": decimals.pattern(low, high), "x-minimum": str(low), "x-maximum": str(high)}


def _given(rules: Any, said: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, word) for name, word in said.items() if rules.HasField(name)]
