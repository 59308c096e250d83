"""Descriptor set -> policies: what each method's contract says, ready to be used.

Owns the reading of our options. Decides nothing: the enforcement is
`mesh.runtime`'s, the routing `mesh.control`'s, the edge `gateway`'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
)
from google.rpc import code_pb2

from mesh import catalog

# Imported for its effect as well: without it our options are invisible, with no error.
from palestra.mesh.v1 import policy_pb2

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTOR_SET = ROOT / "build" / "gen" / "contract.binpb"

PUBLIC = policy_pb2.ACCESS_PUBLIC
USER = policy_pb2.ACCESS_USER
ROLE = policy_pb2.ACCESS_ROLE
SERVICE = policy_pb2.ACCESS_SERVICE
READ = policy_pb2.REPEAT_READ
STORED = policy_pb2.REPEAT_STORED
BY_SERVICE = policy_pb2.RENDERING_SERVICE
HARMLESS = frozenset({READ, STORED, policy_pb2.REPEAT_NATURAL, policy_pb2.REPEAT_KEYED})
"""What a second sending of the same call has the effect of one in."""

MESH_DOMAIN = "mesh.palestra"
ETAG = "etag"
"""The field of a resource that changes whenever the resource does (AIP-154)."""
ENDED, HEARTBEAT = "ended", "heartbeat"
"""The events that every stream over REST can send, beside its own."""
_REASON_ENUM = "ErrorReason"
_REASON_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One REST mapping of a method."""

    verb: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """The template, e.g. `/v1/{name=users/*}`."""
    body: str
    """The field that the body fills, `*` for the whole request, empty for none."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its policy."""

    descriptor: MethodDescriptor
    policy: policy_pb2.Policy
    http: tuple[HttpRule, ...]
    domain: str
    """The error domain of its package, e.g. `training.palestra`."""

    @property
    def path(self) -> str:
        """The gRPC path, `/palestra.identity.v1.AuthService/Register`."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def service(self) -> str:
        """The catalogue's name of the service that implements it."""
        return service_of_package(self.descriptor.containing_service.file.package)

    @property
    def streaming(self) -> bool:
        """Whether either side streams."""
        return bool(self.descriptor.client_streaming or self.descriptor.server_streaming)

    @property
    def repeatable(self) -> bool:
        """Whether a proxy may send it again although it may have been begun."""
        return not self.streaming and self.policy.repeat in HARMLESS

    def allows_service(self, caller: str) -> bool:
        """Whether the contract names `caller` among the services that may call."""
        callers = self.policy.callers
        return caller in callers or ("*" in callers and caller in catalog.INSIDE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error reason means: the contract's words."""

    domain: str
    reason: str
    code: int
    """A google.rpc.Code, which is the gRPC status code."""
    en: str
    ru: str


@dataclass(frozen=True, slots=True)
class ScopeWords:
    """A scope that apps of others may ask for, and what people read before they agree."""

    name: str
    en: str
    ru: str


@dataclass(frozen=True, slots=True)
class RoleWords:
    """A role of the contract's list."""

    name: str
    en: str
    ru: str
    is_granted: bool
    """Whether administrators grant it."""
    is_asked_for: bool
    """Whether tokens can say it, so that a policy may ask for it."""


@dataclass(frozen=True, slots=True)
class Contract:
    """Every method and every error reason of a set of files."""

    methods: Mapping[str, Method]
    """By gRPC path."""
    meanings: Mapping[tuple[str, str], Meaning]
    """By error domain and reason."""

    @property
    def scopes(self) -> frozenset[str]:
        """Every scope that a method asks for."""
        return frozenset(m.policy.scope for m in self.methods.values() if m.policy.scope)

    def of_service(self, name: str) -> Iterator[Method]:
        """The methods that a service of the catalogue implements."""
        return (method for method in self.methods.values() if method.service == name)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a stream's answer says that it is the last one: `ended {reason, error}`."""

    ended: int
    """The number of the field `ended`."""
    resumable: int
    """The value of its `reason` for: ask again."""
    failed: int
    """The value of its `reason` for: asking again will not help."""


def ending_of(answer: Descriptor) -> Ending | None:
    """How a streamed answer says its end; None where it cannot.

    It can with a oneof that has a `heartbeat` with a `time`, and an `ended` with a
    `reason` (an enum with values `…_RESUMABLE` and `…_FAILED`) and an `error`, a
    google.rpc.Status.
    """
    ended, heartbeat = (answer.fields_by_name.get(name) for name in (ENDED, HEARTBEAT))
    if ended is None or heartbeat is None or not ended.message_type or not heartbeat.message_type:
        return None
    if ended.containing_oneof is None or ended.containing_oneof is not heartbeat.containing_oneof:
        return None
    time = heartbeat.message_type.fields_by_name.get("time")
    error = ended.message_type.fields_by_name.get("error")
    reason = ended.message_type.fields_by_name.get("reason")
    if not _holds(time, "google.protobuf.Timestamp") or not _holds(error, "google.rpc.Status"):
        return None
    values = reason.enum_type.values if reason is not None and reason.enum_type else ()
    numbers = {value.name.rpartition("_")[2]: value.number for value in values}
    if not {"RESUMABLE", "FAILED"} <= numbers.keys():
        return None
    return Ending(ended.number, numbers["RESUMABLE"], numbers["FAILED"])


def has_etag(message: Descriptor) -> bool:
    """Whether a message has an etag of its own."""
    field = message.fields_by_name.get(ETAG)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def etag_holder(message: Descriptor) -> str:
    """The one field that holds a resource with an etag; empty where none or several do."""
    holders = [
        field.name
        for field in message.fields
        if field.message_type is not None and not field.is_repeated and has_etag(field.message_type)
    ]
    return holders[0] if len(holders) == 1 else ""


def _holds(field: FieldDescriptor | None, message: str) -> bool:
    kind = field.message_type if field is not None else None
    return kind is not None and kind.full_name == message


def service_of_package(package: str) -> str:
    """`palestra.identity.v1` -> `identity`."""
    return package.split(".")[1]


def error_domain(package: str) -> str:
    """`palestra.identity.v1` -> `identity.palestra`."""
    return f"{service_of_package(package)}.palestra"


def policy_of(method: MethodDescriptor) -> policy_pb2.Policy | None:
    """The method's policy; None where it has none, which the build refuses."""
    options = method.GetOptions()
    if not options.HasExtension(policy_pb2.policy):
        return None
    return options.Extensions[policy_pb2.policy]


def http_rules(method: MethodDescriptor) -> tuple[HttpRule, ...]:
    """The method's REST mappings, the additional ones included."""
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return ()
    rule = options.Extensions[annotations_pb2.http]
    return tuple(_http_rule(each) for each in (rule, *rule.additional_bindings))


def _http_rule(rule: http_pb2.HttpRule) -> HttpRule:
    kind = rule.WhichOneof("pattern") or ""
    if kind == "custom":
        return HttpRule(rule.custom.kind, rule.custom.path, rule.body)
    return HttpRule(kind.upper(), getattr(rule, kind) if kind else "", rule.body)


def method_of(descriptor: MethodDescriptor) -> Method:
    """A method with its policy.

    Raises:
        ValueError: the method has no policy.
    """
    policy = policy_of(descriptor)
    if policy is None:
        raise ValueError(f"{descriptor.full_name} has no policy")
    package = descriptor.containing_service.file.package
    return Method(descriptor, policy, http_rules(descriptor), error_domain(package))


def meanings_of(enum: EnumDescriptor) -> Iterator[Meaning]:
    """The reasons of a domain's ErrorReason enum that say what they mean."""
    domain = error_domain(enum.file.package)
    for value in enum.values:
        options = value.GetOptions()
        if options.HasExtension(policy_pb2.error):
            meaning = options.Extensions[policy_pb2.error]
            reason = value.name.removeprefix(_REASON_PREFIX)
            yield Meaning(domain, reason, meaning.code, meaning.en, meaning.ru)


def grantable_scopes() -> tuple[ScopeWords, ...]:
    """The scopes that apps of others may ask for, in the contract's order."""
    scopes = importlib.import_module("palestra.mesh.v1.scopes_pb2")
    found = (
        value.GetOptions().Extensions[scopes.scope]
        for value in scopes.DESCRIPTOR.enum_types_by_name["Scope"].values
    )
    return tuple(ScopeWords(each.name, each.en, each.ru) for each in found if each.name)


def roles() -> tuple[RoleWords, ...]:
    """Every role that there is, in the contract's order."""
    told = importlib.import_module("palestra.mesh.v1.roles_pb2")
    found = (
        value.GetOptions().Extensions[told.role]
        for value in told.DESCRIPTOR.enum_types_by_name["Role"].values
    )
    return tuple(
        RoleWords(
            name=each.name,
            en=each.en,
            ru=each.ru,
            is_granted=each.holders == told.ROLE_HOLDERS_GRANTED,
            is_asked_for=each.holders
            in (told.ROLE_HOLDERS_GRANTED, told.ROLE_HOLDERS_SERVICE_ACCOUNTS),
        )
        for each in found
        if each.name
    )


def package_meanings(package: str) -> list[Meaning]:
    """The reasons of a package whose generated modules are imported, or importable."""
    errors = importlib.import_module(f"{package}.errors_pb2")
    return list(meanings_of(errors.DESCRIPTOR.enum_types_by_name[_REASON_ENUM]))


def contract_of(files: Iterable[FileDescriptor]) -> Contract:
    """The methods with a policy and the error reasons of `files`."""
    methods: dict[str, Method] = {}
    meanings: dict[tuple[str, str], Meaning] = {}
    for file in files:
        for service in file.services_by_name.values():
            for descriptor in service.methods:
                if policy_of(descriptor) is not None:
                    method = method_of(descriptor)
                    methods[method.path] = method
        enum = file.enum_types_by_name.get(_REASON_ENUM)
        for meaning in meanings_of(enum) if enum else ():
            meanings[meaning.domain, meaning.reason] = meaning
    return Contract(MappingProxyType(methods), MappingProxyType(meanings))


def files_of(descriptor_set: bytes) -> list[FileDescriptor]:
    """Our own files of a serialised descriptor set, in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    names = []
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        pool.Add(file)
        if file.package.startswith("palestra."):
            names.append(file.name)
    return [pool.FindFileByName(name) for name in names]


def load(path: Path = DESCRIPTOR_SET) -> Contract:
    """The compiled contract."""
    return contract_of(files_of(path.read_bytes()))


GUESSABLE = frozenset({int(policy_pb2.PERSONAL_CLASS_SECRET)})
SECRETS = GUESSABLE | {int(policy_pb2.PERSONAL_CLASS_TOKEN)}


def personal_class(field: FieldDescriptor) -> int:
    """The PersonalClass of a field; 0 where it holds no personal data."""
    return int(field.GetOptions().Extensions[policy_pb2.personal])


def personal_fields(message: Descriptor) -> Iterator[FieldDescriptor]:
    """The fields of a message, itself only, that hold personal data."""
    return (field for field in message.fields if personal_class(field))


def holds_secret(message: Descriptor, classes: frozenset[int] = SECRETS) -> bool:
    """Whether a field of the message, or of one within it, is a secret: of one of `classes`."""
    return _holds_class(message, classes, frozenset())


def _holds_class(message: Descriptor, classes: frozenset[int], above: frozenset[str]) -> bool:
    if message.full_name in above:
        return False
    within = above | {message.full_name}
    return any(
        personal_class(field) in classes
        or (field.message_type is not None and _holds_class(field.message_type, classes, within))
        for field in message.fields
    )


def code_name(code: int) -> str:
    """`5` -> `NOT_FOUND`."""
    return str(code_pb2.Code.Name(code))
