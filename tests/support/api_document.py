"""The OpenAPI document as the tests read it: operations, and validators of its schemas."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from gateway.openapi import document
from mesh import policy

_URN = "urn:openapi"
_COUNTS = {"ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


@cache
def told() -> dict[str, Any]:
    """The document of the compiled contract."""
    return document(policy.DESCRIPTOR_SET.read_bytes())


def resolved(holder: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to."""
    while "$ref" in holder:
        found: Any = told()
        for part in holder["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        holder = found
    return holder


@cache
def _registry() -> Registry[Any]:
    empty: Registry[Any] = Registry()
    found: Registry[Any] = empty.with_resource(_URN, DRAFT202012.create_resource(told()))
    return found


def validator(schema: Any) -> Draft202012Validator:
    """A validator of a schema that may refer to the document's components."""
    return Draft202012Validator(
        _absolute(schema), registry=_registry(), format_checker=FormatChecker()
    )


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: f"{_URN}{value}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(each) for each in schema] if isinstance(schema, list) else schema


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document."""

    verb: str
    path: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """Its id."""
        return str(self.said["operationId"])

    def takes(self, verb: str, path: str) -> bool:
        """Whether a request of this verb and path is the operation's."""
        pattern = re.sub(r"\\{[^}]+\\}", "[^/:]+", re.escape(self.path))
        return verb == self.verb and re.fullmatch(pattern, path) is not None

    def example_path(self) -> str:
        """Its path with the examples of its parameters."""
        examples = {
            p["name"]: p["example"] for p in self.said.get("parameters", ()) if "example" in p
        }
        return self.path.format_map(examples)

    def example_body(self) -> Any:
        """The example of its body; None where it has none."""
        body = self.said.get("requestBody", {"content": {"application/json": {"example": None}}})
        return body["content"]["application/json"]["example"]


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of the document."""
    return tuple(
        Operation(verb.upper(), path, said)
        for path, item in told()["paths"].items()
        for verb, said in item.items()
    )


def operation_of(request: httpx.Request) -> Operation:
    """The operation that a request is of."""
    path = request.url.path
    return next(each for each in operations() if each.takes(request.method, path))


def check(answer: httpx.Response) -> Operation:
    """Fails where an answer that was read is not what the document says; its operation."""
    operation = operation_of(answer.request)
    where = f"{operation.name} {answer.status_code}: {answer.text[:500]}"
    responses = operation.said["responses"]
    assert str(answer.status_code) in responses, where
    said = resolved(responses[str(answer.status_code)])
    promised = set(said["headers"]) if answer.is_success else {"x-request-id"}
    if not _COUNTS & answer.headers.keys():
        # As it is told of them: who counts for all edges did not answer in time.
        promised -= _COUNTS
    assert promised <= answer.headers.keys(), f"{answer.headers} {where}"
    if "content" not in said:
        assert not answer.content, where
        return operation
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in said["content"], f"{kind} {where}"
    schema = validator(said["content"][kind]["schema"])
    for each in documents(kind, answer.text):
        schema.validate(each)
    return operation


def documents(kind: str, text: str) -> list[Any]:
    """The JSON documents in a body: one, or one for each event of a stream."""
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    if kind == "text/event-stream":
        lines = text.splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.strip()]
    return [json.loads(text)]
