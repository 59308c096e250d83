"""Whether the edge's transcoder can serve each REST mapping, and no two are the same."""

from __future__ import annotations

from collections.abc import Iterator

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from mesh import policy
from scripts.contract_checks import Finding, fields, of_method, templates

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_WITHOUT_BODY = ("GET", "DELETE")
# Messages whose JSON form is one string or number, which a query parameter can be.
_PLAIN = frozenset(
    f"google.protobuf.{name}"
    for name in (
        *("Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "BoolValue"),
        *("DoubleValue", "FloatValue", "Int32Value", "UInt32Value", "Int64Value", "UInt64Value"),
    )
)


def check(method: MethodDescriptor) -> Iterator[Finding]:
    """What is wrong with the method's mappings."""
    rules = policy.http_rules(method)
    if rules:
        for message in _unmappable(method):
            yield of_method(method, message)
    for rule in rules:
        for message in _rule(method, rule):
            yield of_method(method, message)


def collisions(methods: list[MethodDescriptor]) -> Iterator[Finding]:
    """Mappings that match the same verb and paths as one before them."""
    taken: dict[tuple[str, str], str] = {}
    for method in methods:
        for rule in policy.http_rules(method):
            try:
                place = rule.verb, templates.parse(rule.path).normal
            except templates.TemplateError:
                continue  # said by `check`
            if place in taken:
                words = f"{rule.verb} {rule.path} is the same as a path of {taken[place]}"
                yield of_method(method, words)
            taken.setdefault(place, f"{method.containing_service.name}.{method.name}")


def _unmappable(method: MethodDescriptor) -> Iterator[str]:
    if method.client_streaming:
        yield "REST cannot stream requests: it may have no HTTP mapping"
    rules = policy.policy_of(method)
    if rules is not None and rules.access == policy.SERVICE:
        yield "what only services may call has no HTTP mapping"
    http = method.GetOptions().Extensions[annotations_pb2.http]
    for rule in (http, *http.additional_bindings):
        if rule.response_body:
            yield "the transcoder refuses response_body"
    for nested in http.additional_bindings:
        if nested.additional_bindings:
            yield "additional bindings may not have bindings of their own"


def _rule(method: MethodDescriptor, rule: policy.HttpRule) -> Iterator[str]:
    if rule.verb not in VERBS:
        yield f"{rule.verb or 'no verb'} is none of {', '.join(VERBS)}"
    if rule.verb in _WITHOUT_BODY and rule.body:
        yield f"{rule.verb} has no body"
    try:
        template = templates.parse(rule.path)
    except templates.TemplateError as error:
        yield str(error)
        return
    for variable in template.variables:
        yield from _variable(method.input_type, variable)
    paths = [variable.path for variable in template.variables]
    for path in {path for path in paths if paths.count(path) > 1}:
        yield f"{rule.path} binds {path} twice"
    yield from _body(method.input_type, rule.body)
    if rule.body != "*":
        for field in method.input_type.fields:
            if field.name != rule.body:
                yield from _query(field, field.name, frozenset(paths), ())


def _variable(request: Descriptor, variable: templates.Variable) -> Iterator[str]:
    found = fields.find(request, variable.path)
    if found is None:
        yield f"its request has no field {variable.path} for the path"
    elif any(field.is_repeated for field in found):
        yield f"the path's field {variable.path} is repeated"
    elif found[-1].type == fields.MESSAGE:
        yield f"the path's field {variable.path} is a message"


def _body(request: Descriptor, body: str) -> Iterator[str]:
    if body in ("", "*"):
        return
    field = request.fields_by_name.get(body)
    if field is None:
        yield f"its request has no field {body} for the body"
    elif field.type != fields.MESSAGE or field.is_repeated:
        yield f"the body's field {body} is not one message"


def _query(
    field: FieldDescriptor, path: str, bound: frozenset[str], above: tuple[str, ...]
) -> Iterator[str]:
    """What of a field cannot be a query parameter; `above` are the messages around it."""
    if path in bound:
        return
    if fields.is_map(field):
        yield f"the map {path} cannot be a query parameter"
    elif field.message_type is not None and field.is_repeated:
        yield f"the repeated message {path} cannot be a query parameter"
    elif field.message_type is not None and field.message_type.full_name not in _PLAIN:
        inner = field.message_type
        if inner.full_name in above or inner.full_name.startswith("google.protobuf."):
            yield f"{path}, a {inner.full_name}, cannot be a query parameter"
            return
        for each in inner.fields:
            yield from _query(each, f"{path}.{each.name}", bound, (*above, inner.full_name))
