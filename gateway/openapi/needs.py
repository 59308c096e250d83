"""What a request must have, by the contract's field rules (buf.validate).

Decides whether a field may be left out: protobuf knows no absence for a plain one, so that
its zero stands for it and is held to the rule.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "gte": operator.ge,
    "lte": operator.le,
    "gt": operator.gt,
    "lt": operator.lt,
}
NUMERIC = frozenset(
    {
        *("float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64"),
        *("fixed32", "fixed64", "sfixed32", "sfixed64"),
    }
)


def needed(rules: validate_pb2.FieldRules, field: FieldDescriptor) -> bool:
    """Whether a request without the field is refused: its zero, which stands for it then, is.

    What is `optional`, a message or of a choice is looked at only where it is there.
    """
    if rules.required:
        return True
    if field.has_presence or rules.ignore != validate_pb2.IGNORE_UNSPECIFIED:
        return False
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _refuses_empty(rules.string)
    if kind in ("repeated", "map"):
        return bool(rules.repeated.min_items or rules.map.min_pairs)
    return kind in (*NUMERIC, "enum") and not passes(getattr(rules, kind), 0)


def _refuses_empty(rules: validate_pb2.StringRules) -> bool:
    return (
        bool(rules.min_len or rules.len)
        or (rules.HasField("pattern") and re.search(rules.pattern, "") is None)
        or (rules.HasField("const") and bool(rules.const))
        or (bool(getattr(rules, "in")) and "" not in getattr(rules, "in"))
        or rules.WhichOneof("well_known") is not None
    )


def passes(rules: Any, number: int) -> bool:
    """Whether the rules of a number or an enum let one value through."""
    said = {name for name in ("const", *_COMPARED) if _has(rules, name)}
    return (
        all(_COMPARED[name](number, getattr(rules, name)) for name in said - {"const"})
        and ("const" not in said or number == rules.const)
        and (not getattr(rules, "in") or number in getattr(rules, "in"))
        and number not in rules.not_in
    )


def _has(rules: Any, name: str) -> bool:
    return name in rules.DESCRIPTOR.fields_by_name and bool(rules.HasField(name))
