"""A REST mapping's path and its parameters, in the path and behind the question mark.

Owns the names of path parameters: `users/*` becomes `users/{user}`. Every field that
neither path nor body fills is a query parameter, parts of messages with dots between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.openapi import needs
from gateway.openapi.scalars import WELL_KNOWN, Schema
from gateway.openapi.schemas import ASKED, Schemas
from gateway.openapi.source import OUTPUT_ONLY, REQUIRED, behaves, is_map, rules_of
from mesh.policy import HttpRule

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=([^{}]*))?\}")
_WILD = ("*", "**")
# A message inside a message inside a message: deeper, a query would be no query any more.
DEEPEST = 4
# As every id of ours is, where the field has no rule of its own.
_ID = "^[a-z0-9-]{1,64}$"
_USER = "The person's id, or `me` for the caller."


@dataclass(frozen=True, slots=True)
class Path:
    """A path as OpenAPI writes it."""

    template: str
    parameters: tuple[Schema, ...]
    bound: frozenset[str]
    """The request's fields that the path fills, `profile.name`."""
    names: Mapping[str, str]
    """What it fills them with: `users/{user}`."""


def path_of(request: Descriptor, rule: HttpRule) -> Path:
    """Reads the mapping's template."""
    parameters: list[Schema] = []
    names: dict[str, str] = {}

    def replaced(found: re.Match[str]) -> str:
        name, inner = found.group(1), found.group(2) or "*"
        field = _field(request, name)
        segments = inner.split("/")
        patterns = _patterns(rules_of(field).string.pattern, segments)
        for index, segment in enumerate(segments):
            if segment in _WILD:
                called = _called(name, segments[:index], {p["name"] for p in parameters})
                parameters.append(_in_path(called, patterns[index]))
                segments[index] = f"{{{called}}}"
        names[name] = "/".join(segments)
        return names[name]

    template = _VARIABLE.sub(replaced, rule.path)
    return Path(template, tuple(parameters), frozenset(names), names)


def query_of(request: Descriptor, rule: HttpRule, path: Path, schemas: Schemas) -> list[Schema]:
    """The query parameters of a mapping."""
    if rule.body == "*":
        return []
    taken = {*path.bound, *([rule.body] if rule.body else [])}
    return list(_query(request, "", "", taken, schemas, (request.full_name,)))


def _query(
    message: Descriptor,
    names: str,
    shown: str,
    taken: set[str],
    schemas: Schemas,
    above: Sequence[str],
) -> Iterator[Schema]:
    for field in message.fields:
        name, json_name = f"{names}{field.name}", f"{shown}{field.json_name}"
        inner = field.message_type
        if name in taken or behaves(field, OUTPUT_ONLY) or is_map(field):
            continue
        if inner is None or inner.full_name in WELL_KNOWN:
            yield _in_query(field, json_name, schemas)
        elif not field.is_repeated and inner.full_name not in above and len(above) < DEEPEST:
            path = (*above, inner.full_name)
            yield from _query(inner, f"{name}.", f"{json_name}.", taken, schemas, path)


def _in_query(field: FieldDescriptor, name: str, schemas: Schemas) -> Schema:
    schema = schemas.field(field, ASKED)
    parameter: Schema = {"name": name, "in": "query"}
    words = [schema.pop("description", "")]
    if field.is_repeated:
        words.append("Repeat the parameter for several.")
        parameter |= {"style": "form", "explode": True}
    if text := " ".join(filter(None, words)):
        parameter["description"] = text
    if behaves(field, REQUIRED) or needs.needed(rules_of(field), field):
        parameter["required"] = True
    if schema.pop("deprecated", False):
        parameter["deprecated"] = True
    return parameter | {"schema": schema}


def _in_path(name: str, pattern: str) -> Schema:
    parameter: Schema = {"name": name, "in": "path", "required": True}
    parameter["description"] = _USER if name == "user" else f"The {name.replace('_', ' ')}'s id."
    return parameter | {"schema": {"type": "string", "minLength": 1, "pattern": pattern}}


def _called(name: str, before: Sequence[str], taken: set[str]) -> str:
    """`users` -> `user`, `activities` -> `activity`, `addresses` -> `address`."""
    collection = next((each for each in reversed(before) if not each.startswith("{")), "")
    called = name.rpartition(".")[2] if not collection else _singular(collection.replace("-", "_"))
    return called if called not in taken else f"{called}_{len(taken) + 1}"


def _singular(collection: str) -> str:
    if collection.endswith("ies"):
        return f"{collection[:-3]}y"
    if collection.endswith("sses"):
        return collection[:-2]
    return collection.removesuffix("s")


def _patterns(whole: str, segments: Sequence[str]) -> list[str]:
    """The pattern of each segment, where the field's own rule says it."""
    parts = re.split(r"/(?![^\[]*\])", whole.removeprefix("^").removesuffix("$"))
    fits = len(parts) == len(segments) and all(
        part == segment or segment in _WILD for part, segment in zip(parts, segments, strict=True)
    )
    return [f"^{part}$" for part in parts] if fits else [_ID] * len(segments)


def _field(request: Descriptor, path: str) -> FieldDescriptor:
    """The field that a variable fills; the contract's build knows that there is one."""
    message = request
    *outer, last = path.split(".")
    for name in outer:
        inner = message.fields_by_name[name].message_type
        assert inner is not None
        message = inner
    return message.fields_by_name[last]
