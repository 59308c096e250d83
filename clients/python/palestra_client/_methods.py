"""Every method of the contract, found by its name: for tools that know none beforehand.

Owns how a method may be called in words. Lists what people may call, never what only
services may.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

import palestra
from palestra.mesh.v1 import policy_pb2
from palestra_client._contract import Rule, rule_of_method


@dataclass(frozen=True, slots=True)
class Method:
    """A method, its messages and its rule."""

    descriptor: MethodDescriptor
    rule: Rule

    @property
    def name(self) -> str:
        """`AuthService.Login`."""
        return f"{self.descriptor.containing_service.name}.{self.descriptor.name}"

    @property
    def domain(self) -> str:
        """`identity`."""
        return str(self.descriptor.full_name).split(".")[1]

    @property
    def client_streaming(self) -> bool:
        """Whether requests are a stream."""
        return bool(self.descriptor.client_streaming)

    @property
    def server_streaming(self) -> bool:
        """Whether answers are a stream."""
        return bool(self.descriptor.server_streaming)

    def request(self, told: Mapping[str, Any] | Message) -> Message:
        """A request from JSON's mapping; lowerCamel and the contract's own names both do.

        Raises:
            ValueError: a field is none of the request's, or its value is of another kind.
        """
        made = message_factory.GetMessageClass(self.descriptor.input_type)()
        if isinstance(told, Message):
            made.CopyFrom(told)
            return made
        try:
            return json_format.ParseDict(dict(told), made)
        except json_format.ParseError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def answer(self, content: bytes) -> Message:
        """An answer as it came."""
        return message_factory.GetMessageClass(self.descriptor.output_type).FromString(content)


@lru_cache(maxsize=1)
def methods() -> tuple[Method, ...]:
    """What people may call, by domain and service, in the contract's order."""
    return tuple(_all())


def _all() -> Iterator[Method]:
    for module in sorted(pkgutil.walk_packages(palestra.__path__, "palestra."), key=_name):
        if not module.name.endswith("_service_pb2"):
            continue
        file = importlib.import_module(module.name).DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                access = method.GetOptions().Extensions[policy_pb2.policy].access
                if access != policy_pb2.ACCESS_SERVICE:
                    yield Method(method, rule_of_method(method))


def _name(module: pkgutil.ModuleInfo) -> str:
    return module.name


def method_of(name: str) -> Method:
    """The method of a name: `Login`, `AuthService.Login`, `identity.AuthService.Login`, or its
    gRPC path.

    Raises:
        LookupError: there is none, or several; says which there are.
    """
    sought = name.strip("/").replace("/", ".")
    found = [each for each in methods() if sought in _names(each)]
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(f"{name} may be {', '.join(each.name for each in found)}")
    near = [
        each.name for each in methods() if sought.rpartition(".")[2].lower() in each.name.lower()
    ]
    hint = f"; there are {', '.join(near[:8])}" if near else ""
    raise LookupError(f"there is no method {name}{hint}")


def _names(method: Method) -> frozenset[str]:
    full = str(method.descriptor.full_name)
    return frozenset(
        {full, method.name, f"{method.domain}.{method.name}", str(method.descriptor.name)}
    )
