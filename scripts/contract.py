"""The build's check of the contract: what the platform could not serve or enforce is refused.

Owns the order of the checks and how findings are shown; the checks themselves
are in `scripts.contract_checks`. Never changes the contract.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

from mesh import policy
from scripts import protos
from scripts.contract_checks import Finding, mappings, personal, policies, reasons, streams

SERVICES = protos.ROOT / "services"


def check(files: Iterable[FileDescriptor], services: Path | None = None) -> list[Finding]:
    """What is wrong with the contract, in order of file and method.

    With `services`, the folder of the services' code, the reasons that their
    rules raise are checked as well.
    """
    files = list(files)
    found = [*_of_contract(files)]
    if services is not None:
        found += reasons.raised(services, reasons.of_files(files))
    return sorted(set(found))


def _of_contract(files: list[FileDescriptor]) -> Iterator[Finding]:
    known = reasons.of_files(files)
    methods = [
        method
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    ]
    for method in methods:
        package = method.containing_service.file.package
        yield from policies.check(method, known.get(package, frozenset()))
        yield from mappings.check(method)
        yield from streams.check(method)
    yield from mappings.collisions(methods)
    for file in files:
        yield from reasons.check(file)
        yield from personal.check(file)


def ask_envoy(descriptor_set: Path) -> list[str]:
    """What a real Envoy says against serving the contract; empty where it would."""
    # Imported here: the configuration's types cost more than all the other checks.
    from gateway.check import EnvoyRefusedError, validate_with_envoy

    try:
        validate_with_envoy(descriptor_set)
    except (EnvoyRefusedError, ValueError) as refusal:
        return [f"envoy: {refusal}"]
    return []


def main() -> None:
    """`python -m scripts.contract [--skip-envoy]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-envoy", action="store_true", help="do not ask a real Envoy")
    arguments = parser.parse_args()
    files = policy.files_of(protos.DESCRIPTOR_SET.read_bytes())
    refusals = [str(finding) for finding in check(files, SERVICES)]
    # Envoy's words are poorer than ours: it is asked about a contract that we find whole.
    if not refusals and not arguments.skip_envoy:
        refusals = ask_envoy(protos.DESCRIPTOR_SET)
    for refusal in refusals:
        print(refusal)
    sys.exit(1 if refusals else 0)


if __name__ == "__main__":
    main()
