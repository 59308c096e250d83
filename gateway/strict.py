"""What of a JSON body the contract does not know.

Owns the reading of a body by its message's descriptor, down to each unknown field's path.
The edge's transcoder passes over such fields, so that a client newer than the server
goes on working; whoever would rather be told asks for it (`HEADER`). Never looks at
values: whether they fit is the transcoder's to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.paths import pattern_of
from mesh import policy
from mesh.policy import Contract

HEADER = "x-palestra-strict"
ASKED = "1"
PREFIX = "/strict"
"""Below it stand, for the edge alone, the paths of what is to be checked."""
VERBS = ("POST", "PUT", "PATCH")
"""What has a body over REST."""
MOST_FINDINGS = 10
UNKNOWN, TWICE = "unknown field", "given twice"
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """A field of a body that is at fault."""

    path: str
    """As the client wrote it, below the request's field that the body fills."""
    what: str


@dataclass(frozen=True, slots=True)
class _Body:
    verb: str
    path: re.Pattern[str]
    message: Descriptor
    prefix: str


class Bodies:
    """Every body that the contract's REST mappings take."""

    def __init__(self, contract: Contract) -> None:
        ranked = sorted(_bodies(contract), key=lambda each: each[0])
        self._bodies = [body for _, body in ranked]

    def findings(self, verb: str, path: str, body: bytes) -> list[Finding]:
        """What is unknown in the body of such a request, the first few.

        Nothing where no mapping takes it or it is no JSON: the edge refuses that itself.
        """
        taken = next((each for each in self._bodies if _takes(each, verb, path)), None)
        if taken is None or not body:
            return []
        try:
            document = json.loads(body, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return []
        found: list[Finding] = []
        for finding in _message(document, taken.message, taken.prefix, 0):
            found.append(finding)
            if len(found) == MOST_FINDINGS:
                break
        return found


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written: a dict would forget what came twice."""


def _bodies(contract: Contract) -> Iterator[tuple[tuple[object, ...], _Body]]:
    for method in contract.methods.values():
        if method.policy.access == policy.SERVICE:
            continue
        for rule in method.http:
            if not rule.body:
                continue
            request, pattern = method.descriptor.input_type, pattern_of(rule.path)
            whole = rule.body == "*"
            message = request if whole else request.fields_by_name[rule.body].message_type
            # The build refuses a body that is no message.
            if message is not None:
                prefix = "" if whole else f"{rule.body}."
                yield pattern.rank, _Body(rule.verb, re.compile(pattern.regex), message, prefix)


def _takes(body: _Body, verb: str, path: str) -> bool:
    return body.verb == verb and body.path.fullmatch(path) is not None


def _message(value: Any, message: Descriptor, prefix: str, depth: int) -> Iterator[Finding]:
    """What of an object's keys its message does not know."""
    if not isinstance(value, _Pairs) or depth > _DEEPEST:
        return
    seen: set[str] = set()
    for key, inner in value:
        path = f"{prefix}{key}"
        field = _field(message, key)
        if field is None:
            yield Finding(path, UNKNOWN)
            continue
        if field.name in seen:
            yield Finding(path, TWICE)
        seen.add(field.name)
        yield from _value(inner, field, path, depth)


def _field(message: Descriptor, key: str) -> FieldDescriptor | None:
    """The field of that name; JSON knows two names for each."""
    found = message.fields_by_camelcase_name.get(key) or message.fields_by_name.get(key)
    return found or next((each for each in message.fields if each.json_name == key), None)


def _value(value: Any, field: FieldDescriptor, path: str, depth: int) -> Iterator[Finding]:
    message = field.message_type
    # Google's own have forms of their own: a time is a string, a struct has any keys.
    if message is None or message.full_name.startswith("google.protobuf."):
        return
    if message.GetOptions().map_entry:
        values = message.fields_by_name["value"]
        for key, inner in value if isinstance(value, _Pairs) else ():
            yield from _value(inner, values, f"{path}.{key}", depth + 1)
    elif field.is_repeated and isinstance(value, list) and not isinstance(value, _Pairs):
        for index, inner in enumerate(value):
            yield from _message(inner, message, f"{path}[{index}].", depth + 1)
    else:
        yield from _message(value, message, f"{path}.", depth + 1)
