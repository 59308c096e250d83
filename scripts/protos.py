"""Compiles the contract: Python stubs, type stubs and the descriptor set.

Owns everything under `build/gen`. Nothing there is committed; `make protos`
(or any `make` target) rebuilds it when a source changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "build" / "gen"
DESCRIPTOR_SET = GENERATED / "contract.binpb"
# The edge needs these to transcode an error's details; no file of ours imports them.
ERROR_DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
TOOLS = ("grpcio-tools", "mypy-protobuf", "protovalidate", "googleapis-common-protos", "protobuf")


class CompileError(Exception):
    """The compiler refused the contract; its words say file, line and why."""


def sources(protos: Path = PROTOS) -> list[str]:
    """The contract's files, as paths relative to `protos`."""
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def fingerprint(protos: Path = PROTOS) -> str:
    """Changes when a source, a tool's version or this script changes."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for tool in TOOLS:
        digest.update(f"{tool}={metadata.version(tool)}\n".encode())
    for name in sources(protos):
        digest.update(name.encode() + b"\0" + (protos / name).read_bytes())
    return digest.hexdigest()


def write_validate_descriptors(target: Path) -> None:
    """Writes protovalidate's own descriptor as a set for protoc; its wheel has no .proto."""
    from google.protobuf import descriptor_pb2
    from protovalidate._gen.buf.validate import validate_pb

    file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    files = descriptor_pb2.FileDescriptorSet()
    for dependency in file.dependency:
        __import__(dependency.removesuffix(".proto").replace("/", ".") + "_pb2")
        module = sys.modules[dependency.removesuffix(".proto").replace("/", ".") + "_pb2"]
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.append(file)
    target.write_bytes(files.SerializeToString())


def protoc(*arguments: str) -> None:
    """Runs the compiler that the lock pins; raises CompileError with its words."""
    scripts = sysconfig.get_path("scripts")
    environment = os.environ | {"PATH": f"{scripts}:{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise CompileError(done.stderr.strip())


def compile_descriptors(protos: Path, validate: Path, target: Path) -> None:
    """Writes the descriptor set, imports and comments included."""
    common = Path(sysconfig.get_path("purelib"))
    protoc(
        f"--proto_path={protos}",
        f"--proto_path={common}",
        f"--descriptor_set_in={validate}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        *sources(protos),
        *ERROR_DETAILS,
    )


def compile_python(descriptors: Path, files: list[str], target: Path) -> None:
    """Generates messages, stubs and their types from the descriptor set."""
    target.mkdir(parents=True)
    protoc(
        f"--descriptor_set_in={descriptors}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=readable_stubs:{target}",
        f"--mypy_grpc_out=readable_stubs:{target}",
        *files,
        "buf/validate/validate.proto",
    )
    for folder in [path for path in target.rglob("*") if path.is_dir()]:
        # `buf` is a namespace that protovalidate's wheel may fill as well.
        if folder.relative_to(target).parts[0] != "buf":
            (folder / "__init__.py").touch()
    (target / "palestra" / "py.typed").touch()


def build(protos: Path = PROTOS, generated: Path = GENERATED) -> bool:
    """Brings `generated` up to date; true where there was something to do.

    The new tree replaces the old one only when it is whole.

    Raises:
        CompileError: protoc refused a file.
    """
    wanted = fingerprint(protos)
    stamp = generated / ".fingerprint"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    fresh = generated.with_name(f"{generated.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        write_validate_descriptors(fresh / "validate.binpb")
        compile_descriptors(protos, fresh / "validate.binpb", fresh / "contract.binpb")
        compile_python(fresh / "contract.binpb", sources(protos), fresh / "python")
        (fresh / ".fingerprint").write_text(wanted)
        shutil.rmtree(generated, ignore_errors=True)
        fresh.rename(generated)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def main() -> None:
    """`python -m scripts.protos`: compile what changed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        if build():
            print(f"compiled {len(sources())} files into {GENERATED.relative_to(ROOT)}")
    except CompileError as error:
        sys.exit(f"the contract does not compile:\n{error}")
    from scripts import openapi

    if not openapi.is_fresh():
        # By a process of its own, which finds the fresh stubs on its path.
        subprocess.run([sys.executable, "-m", "scripts.openapi"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
