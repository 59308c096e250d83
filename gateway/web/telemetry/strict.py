"""What protobuf's reader of JSON lets pass, and would make another message of.

It skips in bytes what is no base64, and takes an empty list for a message. Decides
nothing else: unknown names, wrong numbers and the rest it refuses itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.runtime.errors import invalid_field

# The standard alphabet or the URL's, with padding or without, as proto JSON allows.
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}")
_WELL_KNOWN: Final = "google.protobuf."


def check(kind: Descriptor, document: Mapping[str, Any], path: str = "") -> None:
    """Looks at every message and every `bytes` field of a message's JSON.

    Raises:
        MeshError: INVALID_FIELD where one is not of its shape; names it.
    """
    fields = _fields(kind)
    for name, value in document.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        where = f"{path}{name}"
        if field.is_repeated and not isinstance(value, list):
            raise invalid_field(where, "not a list")
        for each in value if field.is_repeated else (value,):
            _check(field, each, where)


def _check(field: FieldDescriptor, value: Any, where: str) -> None:
    if field.message_type is None:
        # One character more than whole groups holds less than a byte.
        if isinstance(value, str) and (
            not _BASE64.fullmatch(value) or len(value.rstrip("=")) % 4 == 1
        ):
            raise invalid_field(where, "not base64")
    elif not isinstance(value, dict):
        raise invalid_field(where, "not an object")
    else:
        check(field.message_type, value, f"{where}.")


@cache
def _fields(kind: Descriptor) -> Mapping[str, FieldDescriptor]:
    """The fields that are bytes or messages of ours; by both their names."""
    found = [
        field
        for field in kind.fields
        if field.type == FieldDescriptor.TYPE_BYTES
        or (field.message_type and not field.message_type.full_name.startswith(_WELL_KNOWN))
    ]
    return {name: field for field in found for name in (field.name, field.json_name)}
