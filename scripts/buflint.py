"""Runs buf's lint and breaking-change checks offline.

buf wants to fetch the contract's dependencies; instead it is given the compiled
descriptor set, in which everything that is not ours is marked as an import.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

from scripts import protos

# buf.alpha.image.v1.ImageFile: field 8042 holds ImageFileExtension{is_import = true}.
_IS_IMPORT = b"\xd2\xf6\x03\x02\x08\x01"


def image(descriptors: Path, ours: set[str]) -> bytes:
    """A buf image of the descriptor set in which all but `ours` are imports."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    for file in files.file:
        if file.name not in ours:
            # A field that the message does not know is kept, and written with it.
            file.MergeFromString(_IS_IMPORT)
    return files.SerializeToString()


def _buf(*arguments: str) -> int:
    binary = Path(sysconfig.get_path("scripts")) / "buf"
    return subprocess.run([binary, *arguments], check=False, cwd=protos.PROTOS).returncode


def _checkout(revision: str, target: Path) -> None:
    """Unpacks the contract of another revision below `target`."""
    archive = subprocess.run(
        ["git", "archive", revision, "protos"], capture_output=True, check=True, cwd=protos.ROOT
    ).stdout
    subprocess.run(["tar", "-x", "-C", target], input=archive, check=True)


def lint() -> int:
    """Buf lint STANDARD over the contract; 0 where it is clean."""
    with tempfile.TemporaryDirectory() as scratch:
        current = Path(scratch) / "contract.binpb"
        current.write_bytes(image(protos.DESCRIPTOR_SET, set(protos.sources())))
        return _buf("lint", str(current), "--config", "buf.yaml")


def breaking(against: str) -> int:
    """Buf breaking against the contract at the git revision `against`; 0 where it is clean."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        current, old = folder / "contract.binpb", folder / "old.binpb"
        current.write_bytes(image(protos.DESCRIPTOR_SET, set(protos.sources())))
        _checkout(against, folder)
        protos.write_validate_descriptors(folder / "validate.binpb")
        protos.compile_descriptors(folder / "protos", folder / "validate.binpb", old)
        old.write_bytes(image(old, set(protos.sources(folder / "protos"))))
        return _buf("breaking", str(current), "--against", str(old), "--config", "buf.yaml")


def main() -> None:
    """`python -m scripts.buflint [--against REVISION]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", help="compare with the contract at this git revision")
    arguments = parser.parse_args()
    sys.exit(breaking(arguments.against) if arguments.against else lint())


if __name__ == "__main__":
    main()
