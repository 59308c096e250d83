"""Writes what `/docs` gives away: the OpenAPI document and the public contract.

Owns their names below `build/gen`. All of them are derived from the compiled contract;
`scripts.protos` brings them up to date together with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.downloads import DESCRIPTORS, DOCUMENT, TARBALL, ZIP
from scripts import protos

_SOURCES = (".py", ".md", ".yaml")
_STAMP = ".documents"
_MADE_BY = ("mesh/policy.py", "scripts/openapi.py")


def is_fresh(generated: Path = protos.GENERATED) -> bool:
    """Whether the files are those of the contract beside them."""
    stamp = generated / _STAMP
    contract = generated / protos.DESCRIPTOR_SET.name
    return stamp.exists() and stamp.read_text() == fingerprint(contract.read_bytes())


def build(generated: Path = protos.GENERATED) -> None:
    """Writes the files anew, each whole or not at all."""
    contract = (generated / protos.DESCRIPTOR_SET.name).read_bytes()
    for name, content in contents(contract).items():
        _write(generated / name, content)
    (generated / _STAMP).write_text(fingerprint(contract))


def contents(contract: bytes) -> dict[str, bytes]:
    """Every file's bytes, by its name: the same for the same contract."""
    # Imported here: the contract must be compiled first.
    from gateway import published
    from gateway.openapi import document

    sources = published.sources(published.published(contract))
    # Compiled from what is given away, which thereby is shown to be whole.
    descriptors = compiled(sources)
    files = sources | published.beside() | {DESCRIPTORS: descriptors}
    return {
        DOCUMENT: as_json(document(contract)),
        DESCRIPTORS: descriptors,
        ZIP: published.zipped(files),
        TARBALL: published.tarball(files),
    }


def compiled(sources: Mapping[str, bytes]) -> bytes:
    """The descriptor set of .proto files that need no others, comments included."""
    with tempfile.TemporaryDirectory(prefix="palestra-") as scratch:
        folder = Path(scratch)
        for name, content in sources.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        target = folder / DESCRIPTORS
        protos.protoc(
            f"--proto_path={folder}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={target}",
            *sorted(sources),
        )
        return target.read_bytes()


def fingerprint(contract: bytes) -> str:
    """Changes when the contract, or what reads it, does."""
    digest = hashlib.sha256(contract)
    gateway = (protos.ROOT / "gateway").rglob("*")
    read = sorted(path for path in gateway if path.suffix in _SOURCES)
    for path in (*read, *(protos.ROOT / each for each in _MADE_BY)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def as_json(document: dict[str, Any]) -> bytes:
    """The document's bytes: the same for the same contract."""
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.rename(path)


def main() -> None:
    """`python -m scripts.openapi`: write the documents of the compiled contract."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    build()


if __name__ == "__main__":
    main()
