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

MESH_DOMAIN = "mesh.palestra"
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


def personal_class(field: FieldDescriptor) -> int:
    """The PersonalClass of a field; 0 where it holds no personal data."""
    return int(field.GetOptions().Extensions[policy_pb2.personal])


def personal_fields(message: Descriptor) -> Iterator[FieldDescriptor]:
    """The fields of a message, itself only, that hold personal data."""
    return (field for field in message.fields if personal_class(field))


def code_name(code: int) -> str:
    """`5` -> `NOT_FOUND`."""
    return str(code_pb2.Code.Name(code))
