"""The contract and its overrides in a slice per domain, and put together again.

Owns what belongs to which domain, what a slice alone is, and the version of a slice
(the hash of its content). Pure: who accepts a slice is `selection`'s to decide.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from google.protobuf import descriptor_pb2

from gateway import overrides, routes
from gateway.overrides import OverrideError, Overrides
from mesh import policy
from mesh.policy import Contract

NO_CHANGES = "{}"
_DIGITS = 16
_OURS = "palestra."
_SHARED = "mesh"
_File = descriptor_pb2.FileDescriptorProto


@dataclass(frozen=True, slots=True)
class Slice:
    """What one domain has to say."""

    domain: str
    files: tuple[bytes, ...] = field(repr=False)
    """Its files, as serialised FileDescriptorProtos."""
    overrides: str
    """The part of `overrides.json` that is about it, as JSON with sorted keys."""
    version: str = ""

    def __post_init__(self) -> None:
        found = hashlib.sha256(self.overrides.encode())
        for each in self.files:
            found.update(f"\0{len(each)}\0".encode() + each)
        object.__setattr__(self, "version", found.hexdigest()[:_DIGITS])


@dataclass(frozen=True, slots=True)
class Whole:
    """What all domains share, and a slice for each."""

    shared: Slice
    by_domain: Mapping[str, Slice]

    def with_slice(self, one: Slice) -> Whole:
        """The same with another slice for its domain."""
        return Whole(self.shared, {**self.by_domain, one.domain: one})

    def without(self, domain: str) -> Whole:
        """The same without a domain."""
        left = {name: each for name, each in self.by_domain.items() if name != domain}
        return Whole(self.shared, left)


@dataclass(frozen=True, slots=True)
class Assembled:
    """What can be served: the slices as one."""

    descriptor_set: bytes = field(repr=False)
    contract: Contract = field(repr=False)
    overrides: Overrides


def split(descriptor_set: bytes, changes: bytes) -> Whole:
    """A compiled contract and the content of `overrides.json`, by domain.

    Raises:
        OverrideError: the overrides are no JSON object of objects.
        DecodeError: the contract is no descriptor set.
    """
    files: dict[str, list[bytes]] = {_SHARED: []}
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        packed = file.SerializeToString(deterministic=True)
        files.setdefault(_domain_of(file.package), []).append(packed)
    said = _changes_by_domain(changes, files.keys())
    found = {
        domain: Slice(domain, tuple(each), json.dumps(said.get(domain, {}), sort_keys=True))
        for domain, each in files.items()
    }
    shared = found.pop(_SHARED)
    return Whole(shared, MappingProxyType(found))


def assemble(whole: Whole) -> Assembled:
    """Everything as one, in an order in which each file comes after what it imports.

    Raises:
        ValueError: the slices do not fit each other; the words say what is missing,
            or which paths of two domains fit one request.
    """
    parts = (whole.shared, *whole.by_domain.values())
    files = [_File.FromString(each) for part in parts for each in part.files]
    return _assembled(_in_order(files, files), [part.overrides for part in parts])


def alone(whole: Whole, domain: str) -> Assembled:
    """One slice with what all share, and of the others only what its messages are made of.

    Raises:
        ValueError: it cannot be served, whoever is beside it.
    """
    own = whole.by_domain[domain]
    wanted = [_File.FromString(each) for each in (*whole.shared.files, *own.files)]
    known = [
        _File.FromString(each)
        for part in (whole.shared, *whole.by_domain.values())
        for each in part.files
    ]
    files = _in_order(wanted, known)
    for file in files:
        if _domain_of(file.package) not in (_SHARED, domain):
            del file.service[:]
    return _assembled(files, [whole.shared.overrides, own.overrides])


def _assembled(files: list[_File], changes: Iterable[str]) -> Assembled:
    packed = descriptor_pb2.FileDescriptorSet(file=files).SerializeToString(deterministic=True)
    try:
        contract = policy.contract_of(policy.files_of(packed))
        said = overrides.parse(json.dumps(_merged(changes)), contract)
        # Whether the domains' paths leave each other alone.
        routes.derive(contract, said)
    except (KeyError, TypeError) as error:
        # So says the pool of descriptors where a name leads nowhere.
        raise ValueError(str(error)) from error
    return Assembled(packed, contract, said)


def _in_order(wanted: Iterable[_File], known: Iterable[_File]) -> list[_File]:
    """The wanted files and whatever they import, each after its imports."""
    by_name = {file.name: file for file in known}
    placed: dict[str, _File] = {}

    def place(name: str, importer: str) -> None:
        if name in placed:
            return
        if name not in by_name:
            raise ValueError(f"{importer} imports {name}, which is not there")
        for dependency in by_name[name].dependency:
            place(dependency, name)
        placed[name] = by_name[name]

    for file in wanted:
        place(file.name, file.name)
    return list(placed.values())


def _domain_of(package: str) -> str:
    return policy.service_of_package(package) if package.startswith(_OURS) else _SHARED


def _changes_by_domain(changes: bytes, domains: Iterable[str]) -> dict[str, dict[str, object]]:
    """`{section: {key: …}}` by the domain of each key: a method's path, or a service's name."""
    try:
        document = json.loads(changes)
    except ValueError as error:
        raise OverrideError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise OverrideError("the document is not an object")
    known = set(domains) - {_SHARED}
    found: dict[str, dict[str, object]] = {}
    for section, entries in document.items():
        if not isinstance(entries, dict):
            found.setdefault(_SHARED, {})[section] = entries
            continue
        for domain, key in _keys(entries, known):
            part = found.setdefault(domain, {}).setdefault(section, {})
            assert isinstance(part, dict)
            part[key] = entries[key]
    return found


def _keys(entries: Mapping[str, object], known: set[str]) -> Iterator[tuple[str, str]]:
    for key in entries:
        domain = key.split(".")[1] if key.startswith(f"/{_OURS}") else key
        yield (domain if domain in known else _SHARED), key


def _merged(changes: Iterable[str]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for each in changes:
        for section, entries in json.loads(each).items():
            there = merged.setdefault(section, entries)
            if isinstance(there, dict) and there is not entries:
                there.update(entries)
    return merged
