"""What is said of a field that breaks one of the contract's rules: what it may be instead.

Owns the words where protovalidate's own tell the rule (a regular expression, a list of
numbers) and not what to send. Decides nothing.
"""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from protovalidate import Violation

MOST_VALUES: Final = 20
_IDS = re.compile(r"\[[^\]]+\]\{[\d,]+\}")
_NAME = re.compile(r"[A-Za-z]+(?:/(?:[A-Za-z]+|\{id\}))*")
_WORDS = {
    r"\S": "must not be blank",
    "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": "must be a UUID",
    "^[A-Za-z0-9][A-Za-z0-9 _.:/%()-]{0,63}$": "must be 1 to 64 letters, digits, spaces and "
    "_.:/%()-, the first a letter or a digit",
    "^([A-Z]{2})?$": "must be a country's two capital letters (ISO 3166-1)",
    "^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$": "must be a language's tag (BCP 47), as en or pt-BR",
}


def path_of(violation: Violation) -> str:
    """The field's path in the request, `app.redirect_uris[2]`."""
    parts = []
    for each in violation.proto.field.elements if violation.proto.field else ():
        subscript = f"[{each.subscript.value}]" if each.subscript is not None else ""
        parts.append(f"{each.field_name}{subscript}")
    return ".".join(parts)


def words_of(violation: Violation, kind: Descriptor) -> str:
    """Why the field of a message of that kind is refused."""
    told = violation.proto
    if told.rule_id == "string.pattern":
        return words_of_pattern(str(violation.rule_value)) or told.message
    if told.rule_id in ("enum.defined_only", "enum.not_in"):
        return _of_enum(violation, kind) or told.message
    return told.message or told.rule_id


def words_of_pattern(pattern: str) -> str:
    """What a text of that pattern is, where that can be said; else nothing."""
    if pattern in _WORDS:
        return _WORDS[pattern]
    shape = _IDS.sub("{id}", pattern.removeprefix("^").removesuffix("$"))
    if not _NAME.fullmatch(shape):
        return ""
    return f"must be {shape}, an id of small letters, digits and hyphens"


def _of_enum(violation: Violation, kind: Descriptor) -> str:
    enum = _enum_at(violation, kind)
    if enum is None:
        return ""
    left_out = violation.rule_value if violation.proto.rule_id == "enum.not_in" else ()
    names = [each.name for each in enum.values if each.number not in left_out]
    more = ", …" if len(names) > MOST_VALUES else ""
    return f"must be one of {', '.join(names[:MOST_VALUES])}{more}"


def _enum_at(violation: Violation, kind: Descriptor) -> EnumDescriptor | None:
    inside: Descriptor | None = kind
    found = None
    for each in violation.proto.field.elements if violation.proto.field else ():
        if inside is None:
            return None
        field = inside.fields_by_number.get(each.field_number or 0)
        if field is None:
            return None
        inside, found = field.message_type, field.enum_type
        if inside is not None and inside.GetOptions().map_entry:
            entry = inside.fields_by_name["value"]
            inside, found = entry.message_type, entry.enum_type
    return found
