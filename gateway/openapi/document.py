"""The document as a whole: information, tags, paths, components.

Owns their order, which is the contract's, so that two builds of one contract are equal.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from gateway.openapi import errors, headers, operations
from gateway.openapi.examples import Examples
from gateway.openapi.scalars import Schema
from gateway.openapi.schemas import Schemas
from gateway.openapi.security import SCHEMES
from gateway.openapi.source import Source, source_of

VERSION = "3.1.0"
_ABOUT = """\
The REST side of Palestra's contract: the same methods as over gRPC, by curl.

Fields are lowerCamel and have their units in their names. A value that was not measured is \
absent; zero means zero. Whole numbers of 64 bits are strings. What the server adds in later \
versions, clients pass over.

An error is a `google.rpc.Status` with exactly one `ErrorInfo`: its `reason` is stable, and \
each operation names the reasons that it can answer with.

The contract itself, for gRPC in any language: [.proto files](/docs/palestra-protos.zip), \
[descriptor set](/docs/palestra.binpb)."""


def document(descriptor_set: bytes) -> dict[str, Any]:
    """The OpenAPI document of a compiled contract, which must hold its source positions."""
    source = source_of(descriptor_set)
    schemas = Schemas(source)
    paths: dict[str, dict[str, Schema]] = {}
    for method, rule in source.mappings():
        where = operations.path(method, rule).template
        paths.setdefault(where, {})[rule.verb.lower()] = operations.operation(
            source, schemas, method, rule
        )
    components = {**schemas.components, "Error": errors.ERROR, "ErrorDetail": errors.DETAIL}
    examples = Examples(components)
    for path in paths.values():
        for made in path.values():
            operations.with_examples(made, examples)
    return {
        "openapi": VERSION,
        "info": {
            "title": "Palestra",
            "version": "1.0.0",
            "summary": "The sports community: workouts, live and recorded.",
            "description": _ABOUT,
            "contact": {"name": "Palestra"},
        },
        "servers": [{"url": "/", "description": "Where this document is from."}],
        "tags": _tags(source),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": _shared(paths),
            "headers": headers.HEADERS,
            "securitySchemes": SCHEMES,
        },
    }


def _tags(source: Source) -> list[Schema]:
    found: dict[str, Schema] = {}
    for method, _ in source.mappings():
        service = method.descriptor.containing_service
        said = source.comments.get(service.full_name) or source.comments.get(service.file.name, "")
        found.setdefault(
            operations.tag(method), {"name": operations.tag(method), "description": said}
        )
    return list(found.values())


def _shared(paths: dict[str, dict[str, Schema]]) -> dict[str, Schema]:
    """Takes out the refusals that several operations share, and leaves references."""
    refusals = [
        (made["responses"], status)
        for path in paths.values()
        for made in path.values()
        for status, response in made["responses"].items()
        if "x-palestra-reasons" in response
    ]
    named = [(_called(holder[status], status), holder, status) for holder, status in refusals]
    often = Counter(name for name, _, _ in named)
    shared: dict[str, Schema] = {}
    for name, holder, status in named:
        if often[name] > 1:
            shared[name] = holder[status]
            holder[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _called(response: Schema, status: str) -> str:
    """Equal refusals have equal names."""
    reasons = "-".join(each["reason"] for each in response["x-palestra-reasons"])
    limited = "-limited" if "x-ratelimit-limit" in response["headers"] else ""
    return f"{status}-{reasons}{limited}"
