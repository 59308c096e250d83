"""A REST mapping as an operation: words, parameters, body, answers, security, policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.openapi import errors, headers
from gateway.openapi.comments import first_sentence
from gateway.openapi.examples import Examples, of_path
from gateway.openapi.parameters import Path, path_of, query_of
from gateway.openapi.scalars import Schema
from gateway.openapi.schemas import Schemas, asks_for_something, identifier_fields
from gateway.openapi.security import requirement
from gateway.openapi.source import Source, rules_of
from gateway.overrides import Overrides
from mesh import policy
from mesh.policy import HttpRule, Method
from palestra.mesh.v1 import policy_pb2

LINES, EVENTS, JSON = "application/x-ndjson", "text/event-stream", "application/json"
_HTTP_BODY = "google.api.HttpBody"
_KEPT = ("etag", "cache-control")


def path(method: Method, rule: HttpRule) -> Path:
    """Where the mapping is."""
    return path_of(method.descriptor.input_type, rule)


def operation(source: Source, schemas: Schemas, method: Method, rule: HttpRule) -> Schema:
    """The mapping as OpenAPI has it, without its examples."""
    where = path(method, rule)
    said = source.said(method.descriptor)
    made: Schema = {
        "operationId": operation_id(method, rule),
        "tags": [tag(method)],
        "summary": first_sentence(said) or _words(method.descriptor.name),
        "description": said or f"{_words(method.descriptor.name)}.",
        "security": requirement(method),
    }
    if method.descriptor.GetOptions().deprecated:
        made["deprecated"] = True
    parameters = [
        *where.parameters,
        *query_of(method.descriptor.input_type, rule, where, schemas),
        *headers.of_request(method, rule),
    ]
    if parameters:
        made["parameters"] = parameters
    if rule.body:
        made["requestBody"] = _body(source, schemas, method, rule, where)
    made["responses"] = {
        **_answers(schemas, method, rule),
        **errors.responses(source.contract, method, rule),
    }
    return made | {
        "x-palestra-method": method.path,
        "x-palestra-policy": _policy(method),
        "x-palestra-grpc": _grpc(method, rule, where),
    }


def with_examples(made: Schema, examples: Examples) -> Schema:
    """The operation with an example of each parameter, of its body and of its answer."""
    for parameter in made.get("parameters", ()):
        in_path = parameter["in"] == "path"
        if in_path:
            parameter["example"] = of_path(parameter["name"])
    bodies = [made["requestBody"]] if "requestBody" in made else []
    for holder in (*bodies, made["responses"]["200"]):
        for media in holder["content"].values():
            media.setdefault("example", examples.of(media["schema"]))
    return made


def operation_id(method: Method, rule: HttpRule) -> str:
    """The method's name; a further mapping of it is numbered."""
    place = method.http.index(rule)
    return f"{method.descriptor.name}{place + 1 if place else ''}"


def tag(method: Method) -> str:
    """The service's name without `Service`."""
    return str(method.descriptor.containing_service.name).removesuffix("Service")


def _words(name: str) -> str:
    """`GetActivity` -> `Get activity`."""
    spaced = "".join(f" {each.lower()}" if each.isupper() else each for each in name).strip()
    return spaced[:1].upper() + spaced[1:]


def _body(source: Source, schemas: Schemas, method: Method, rule: HttpRule, where: Path) -> Schema:
    request = method.descriptor.input_type
    if rule.body == "*":
        schema = schemas.request(request, where.bound)
        # No body is an empty one: it will do where nothing in it is asked for.
        return {"required": asks_for_something(schema), "content": {JSON: {"schema": schema}}}
    field = request.fields_by_name[rule.body]
    inner = field.message_type
    assert inner is not None
    bound = {name.removeprefix(f"{rule.body}.") for name in where.bound}
    schema = schemas.request(inner, bound | identifier_fields(inner))
    # A message that the path fills a part of is there without a body, but not what it needs.
    filled = any(name.startswith(f"{rule.body}.") for name in where.bound)
    needed = (bool(rules_of(field).required) and not filled) or asks_for_something(schema)
    made: Schema = {"required": needed, "content": {JSON: {"schema": schema}}}
    if said := source.said(field):
        made["description"] = said
    return made


def _answers(schemas: Schemas, method: Method, rule: HttpRule) -> Mapping[str, Schema]:
    kept = rule.verb == "GET" and method.policy.HasField("cache")
    more = _KEPT if kept else ()
    ok = {
        "description": "Events, the last of which is `ended`."
        if method.descriptor.server_streaming
        else "OK.",
        "headers": headers.of_answer(method, *more),
        "content": _content(schemas, method),
    }
    if not kept:
        return {"200": ok}
    same = "The answer is the one that `If-None-Match` named; it is not sent again."
    return {
        "200": ok,
        "304": {"description": same, "headers": headers.of_answer(method, *more)},
    }


def _content(schemas: Schemas, method: Method) -> Schema:
    answer = method.descriptor.output_type
    if answer.full_name == _HTTP_BODY:
        said = method.policy.content
        schema = json.loads(said.json_schema) if said.json_schema else {}
        return {said.media_type or "*/*": {"schema": schema}}
    schema = schemas.answer(answer)
    if not method.descriptor.server_streaming:
        return {JSON: {"schema": schema}}
    return {
        LINES: {"schema": {**schema, "description": "Each line is such a document."}},
        EVENTS: {"schema": {**schema, "description": "Each event's `data` is such a document."}},
    }


def _grpc(method: Method, rule: HttpRule, where: Path) -> dict[str, Any]:
    """How the same call is made over gRPC: the request's fields by path and body."""
    request = method.descriptor.input_type
    return {
        "file": method.descriptor.containing_service.file.name,
        "request": request.name,
        "names": dict(where.names),
        "body": rule.body if rule.body == "*" or not rule.body else _json(request, rule.body),
    }


def _json(request: Any, name: str) -> str:
    return str(request.fields_by_name[name].json_name)


def _policy(method: Method) -> dict[str, Any]:
    """What the contract promises beside the shapes."""
    rules = method.policy
    limit = Overrides().limit(method)
    said: dict[str, Any] = {
        "access": policy_pb2.Access.Name(rules.access).removeprefix("ACCESS_"),
        "repeat": policy_pb2.Repeat.Name(rules.repeat).removeprefix("REPEAT_"),
    }
    if rules.scope:
        said["scope"] = rules.scope
    if limit is not None:
        said["limit"] = {
            "requests": limit.requests,
            "windowS": limit.window_s,
            "key": limit.key,
            "global": bool(getattr(rules.limit, "global")),
        }
    if rules.timeout_ms and not method.streaming:
        said["timeoutMs"] = rules.timeout_ms
    if rules.roles:
        said["roles"] = list(rules.roles)
    if rules.requires_plan:
        said["plan"] = rules.requires_plan
    if rules.fresh_auth_s:
        said["freshAuthS"] = rules.fresh_auth_s
    if rules.access != policy.PUBLIC and rules.owner:
        said["others"] = policy_pb2.Others.Name(rules.others).removeprefix("OTHERS_")
    return said
