"""Whether each method's policy is whole, means something, and is enforced as it says."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor

from gateway.overrides import MAX_REQUESTS, MAX_WINDOW_S
from mesh import catalog, policy
from palestra.mesh.v1 import policy_pb2
from scripts.contract_checks import Finding, fields, of_method, templates

LONGEST_UNARY_MS = 60_000
LONGEST_FRESH_S = 86_400
_WORKLOADS = frozenset(
    {each.name for each in catalog.SERVICES}
    | {"*", catalog.EDGE, catalog.CONTROL, catalog.OPERATOR}
)
_ROLES = frozenset(each.name for each in policy.roles() if each.is_asked_for)
_PERSON = "users/"


def check(method: MethodDescriptor, reasons: frozenset[str]) -> Iterator[Finding]:
    """What is wrong with the method's policy; `reasons` are those of its package."""
    rules = policy.policy_of(method)
    if rules is None:
        yield of_method(method, "it has no policy")
        return
    for part in (_access, _roles, _owner, _time, _repeat, _limit, _cache, _rendering):
        for message in part(method, rules):
            yield of_method(method, message)
    for reason in rules.errors:
        if reason not in reasons:
            yield of_method(method, f"its package has no error reason {reason}")


def _access(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    if rules.access == policy_pb2.ACCESS_UNSPECIFIED:
        yield "access is not specified"
    if (rules.access == policy.ROLE) != bool(rules.roles):
        yield "roles are to be named where access is ACCESS_ROLE, and only there"
    if rules.access == policy.SERVICE and not rules.callers:
        yield "ACCESS_SERVICE names no callers"
    for caller in rules.callers:
        if caller not in _WORKLOADS:
            yield f"the catalogue has no service {caller!r} that could call"
    if rules.access not in (policy.USER, policy.ROLE):
        for name in ("scope", "fresh_auth_s", "requires_plan"):
            if getattr(rules, name):
                yield f"{name} means nothing where nobody needs to be signed in"
    if rules.audit and policy.method_of(method).streaming:
        yield "a stream leaves no audit record"


def _roles(_: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    for role in (*rules.roles, *filter(None, [rules.others_role])):
        if role not in _ROLES:
            yield f"the contract has no role {role!r} that a token could say"


def _owner(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    if bool(rules.owner) != (rules.others != policy_pb2.OTHERS_UNSPECIFIED):
        yield "owner and others are to be given together"
    if (rules.others == policy_pb2.OTHERS_ROLE) != bool(rules.others_role):
        yield "others_role is to be given where others is OTHERS_ROLE, and only there"
    if rules.owner:
        yield from _owner_field(method, rules)
    elif rules.access == policy.USER:
        for path in _persons_names(method):
            yield f"{path} names a person's thing, so the policy needs an owner"


def _owner_field(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    found = fields.find(method.input_type, rules.owner)
    if found is None:
        yield f"its request has no field {rules.owner} for owner"
    elif found[-1].type != fields.STRING or any(field.is_repeated for field in found):
        yield f"the owner field {rules.owner} is not one string"
    if rules.access not in (policy.USER, policy.ROLE):
        yield "owner means nothing where nobody needs to be signed in"
    if method.client_streaming:
        yield "the owner of a stream of requests is not checked"


def _persons_names(method: MethodDescriptor) -> Iterator[str]:
    """The paths of the request's fields that hold a resource name below `users/`."""
    bound = _bound_to_persons(method)
    for path in _name_paths(method):
        found = fields.find(method.input_type, path)
        if found and (path in bound or fields.pattern(found[-1]).startswith(f"^{_PERSON}")):
            yield path


def _name_paths(method: MethodDescriptor) -> Iterator[str]:
    for field in method.input_type.fields:
        if field.name in ("name", "parent"):
            yield field.name
        elif field.message_type is not None and not field.is_repeated:
            yield f"{field.name}.name"


def _bound_to_persons(method: MethodDescriptor) -> set[str]:
    bound = set()
    for rule in policy.http_rules(method):
        try:
            template = templates.parse(rule.path)
        except templates.TemplateError:
            continue  # the mapping's own check says so
        bound |= {each.path for each in template.variables if each.segments[0] == "users"}
    return bound


def _time(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    if policy.method_of(method).streaming:
        if rules.timeout_ms:
            yield "a stream has no timeout_ms: it ends with its token"
    elif not 0 < rules.timeout_ms <= LONGEST_UNARY_MS:
        yield f"timeout_ms is to be within 1 and {LONGEST_UNARY_MS}"


def _repeat(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    if rules.repeat == policy_pb2.REPEAT_UNSPECIFIED:
        yield "repeat is not specified"
    if rules.repeat in (policy_pb2.REPEAT_KEYED, policy_pb2.REPEAT_STORED):
        yield from _by_request_id(method, policy_pb2.Repeat.Name(rules.repeat))
    if rules.repeat == policy_pb2.REPEAT_READ:
        for rule in policy.http_rules(method):
            if rule.verb != "GET":
                yield f"REPEAT_READ is mapped to {rule.verb}, not GET"


def _by_request_id(method: MethodDescriptor, kind: str) -> Iterator[str]:
    found = fields.find(method.input_type, "request_id")
    if found is None or found[0].type != fields.STRING or found[0].is_repeated:
        yield f"{kind} needs a string request_id in the request"
    if policy.method_of(method).streaming:
        yield f"{kind} means nothing for a stream: each of its messages has its own number"
    # Of each such request a hash is kept, from which a weak secret could be guessed.
    for message in fields.reachable(method.input_type):
        for field in message.fields:
            if policy.personal_class(field) in policy.SECRETS:
                yield f"{field.full_name} is a secret, so the method is REPEAT_SECRET"


def _limit(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    if not rules.HasField("limit"):
        if rules.access == policy.PUBLIC:
            yield "anyone may call it, so it needs a limit"
        return
    if rules.access == policy.SERVICE:
        yield "services are not counted: a limit means nothing where only they may call"
    limit = rules.limit
    if not (limit.requests and limit.window_s and limit.key):
        yield "limit is to say requests, window_s and key"
    by_token = (policy_pb2.LIMIT_KEY_USER, policy_pb2.LIMIT_KEY_CLIENT)
    if rules.access == policy.PUBLIC and limit.key in by_token:
        yield "a public method has no token to count calls by"
    if limit.requests > MAX_REQUESTS or limit.window_s > MAX_WINDOW_S:
        yield f"limit is at most {MAX_REQUESTS} requests in at most {MAX_WINDOW_S} s"
    if not getattr(limit, "global"):
        if rules.access == policy.PUBLIC and policy.holds_secret(
            method.input_type, policy.GUESSABLE
        ):
            yield "anyone may try secrets at it, at every edge, so its limit is global"
        if limit.key == policy_pb2.LIMIT_KEY_CLIENT:
            yield "a client calls through every edge, so its limit is global"


def _cache(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    reads = any(rule.verb == "GET" for rule in policy.http_rules(method))
    streams = policy.method_of(method).streaming
    if not rules.HasField("cache"):
        if reads and not streams and policy.etag_holder(method.output_type):
            yield "it answers GET with a resource that has an etag, so it needs a cache"
        return
    if rules.repeat != policy_pb2.REPEAT_READ or not reads or streams:
        yield "only what GET reads in one answer can be cached"
    if rules.cache.shared and rules.access != policy.PUBLIC:
        yield "an answer that is shared is the same for all, so its method is public"
    if rules.cache.max_age_s > LONGEST_FRESH_S:
        yield f"max_age_s is at most {LONGEST_FRESH_S}"


def _rendering(method: MethodDescriptor, rules: policy_pb2.Policy) -> Iterator[str]:
    rest = bool(policy.http_rules(method))
    if rules.rendering == policy_pb2.RENDERING_SERVICE:
        if policy.method_of(method).streaming:
            yield "RENDERING_SERVICE means nothing for a stream"
        elif not rest:
            yield "RENDERING_SERVICE means nothing without a REST mapping"
        elif not rules.HasField("cache"):
            # Where the edge handles tags it also sees that an answer is what it expects.
            yield "RENDERING_SERVICE needs a cache, be it an empty one"
        elif method.output_type.full_name == "google.api.HttpBody":
            yield "RENDERING_SERVICE means nothing where the answer is an HttpBody already"
    elif rest and fields.find(method.input_type, "read_mask"):
        # The edge says what is empty, and cannot tell it from what is masked.
        yield "its read_mask needs RENDERING_SERVICE"
