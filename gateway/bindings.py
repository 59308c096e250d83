"""Whether a REST mapping's variables and body are fields of the request.

Owns that check, which Envoy makes only when a request comes, with a 500.
"""

from __future__ import annotations

import re

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.policy import HttpRule

_NAMES = re.compile(r"\{([a-z0-9_.]+)")


def check(request: Descriptor, rule: HttpRule) -> None:
    """Raises ValueError where a variable or the body names no field that could hold it."""
    names = _NAMES.findall(rule.path)
    if len(names) != len(set(names)):
        raise ValueError(f"the path {rule.path!r} binds a field twice")
    for name in names:
        _check_variable(request, name)
    if rule.body and rule.body != "*" and rule.body not in request.fields_by_name:
        raise ValueError(f"the body names no field {rule.body!r} of {request.full_name}")


def _check_variable(request: Descriptor, name: str) -> None:
    *outer, last = name.split(".")
    message = request
    for part in outer:
        field = message.fields_by_name.get(part)
        if field is None or field.message_type is None or field.is_repeated:
            raise ValueError(f"the path names no message {part!r} of {message.full_name}")
        message = field.message_type
    field = message.fields_by_name.get(last)
    if field is None:
        raise ValueError(f"the path names no field {last!r} of {message.full_name}")
    if field.is_repeated or field.type == FieldDescriptor.TYPE_MESSAGE:
        raise ValueError(f"the path cannot fill {last!r} of {message.full_name}")
