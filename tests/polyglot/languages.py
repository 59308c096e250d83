"""The archive of the public contract -> a client's command, in each language.

Owns how an outside team would do it: unpack, generate by the archive's own settings with
compilers of pinned versions, build. Versions and hashes are in each language's own files.
What is fetched lies in the toolchain's own cache; all that is built, in a folder given.
Decides what is a toolchain that is not there, and never takes a client's fault for that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import downloads

HERE = Path(__file__).parent
BUILD_S = 280
# What toolchains say when their registry cannot be reached or does not serve, and when they
# are too old. A thing that no registry has (404) is no such case: its version is wrong here.
_NOT_TO_BE_HAD = (
    *("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "code E403"),
    *("dial tcp", "no such host", "i/o timeout", "403 Forbidden", "requires go >="),
    *("Could not transfer artifact", "requires Maven version", "version 17 not supported"),
)


class NotThereError(Exception):
    """A toolchain, or what it needs of its registry, cannot be had here; the words say why."""


class BuildError(Exception):
    """What is fetched does not become a client; the words are the toolchain's."""


@dataclass(frozen=True, slots=True)
class Client:
    """A built client."""

    command: tuple[str, ...]
    folder: Path


def go(folder: Path) -> Client:
    """Go: grpc-go; `folder` has the archive."""
    tool, bin_folder = _tool("go"), folder / "bin"
    _take(folder, "go")
    flags = {"GOFLAGS": "-buildvcs=false -trimpath -modcacherw", "GOTOOLCHAIN": "local"}
    _fetch(folder, [tool, "mod", "download"], flags)
    _run(folder, [tool, "install", "tool"], flags | {"GOBIN": str(bin_folder)})
    _generate(folder, "buf.gen.go.yaml", bin_folder)
    _run(folder, [tool, "build", "-mod=readonly", "-o", "conformance", "."], flags)
    return Client((str(folder / "conformance"),), folder)


def java(folder: Path) -> Client:
    """Java: grpc-java by Maven, which takes the archive as it is."""
    maven, runtime = _tool("mvn"), _tool("java")
    _tool("javac")
    _take(folder, "java")
    _fetch(folder, [maven, "--batch-mode", "--quiet", "process-classes"])
    classes = f"{folder / 'target' / 'classes'}:{(folder / 'classpath').read_text().strip()}"
    return Client((runtime, "-cp", classes, "conformance.Conformance"), folder)


def typescript(folder: Path) -> Client:
    """TypeScript: Connect on Node; the protocol is an argument of the command."""
    npm, node, tools = _tool("npm"), _tool("node"), folder / "node_modules" / ".bin"
    _take(folder, "ts")
    _fetch(folder, [npm, "ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0"])
    _generate(folder, "buf.gen.ts.yaml", tools)
    _run(folder, [str(tools / "tsc"), "--project", "."])
    return Client((node, "out/src/conformance.js"), folder)


BUILDERS: Mapping[str, Callable[[Path], Client]] = {"go": go, "java": java, "ts": typescript}


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NotThereError(f"there is no {name} on this machine")
    return path


def _take(folder: Path, language: str) -> None:
    """The language's own files; what a checkout was built into does not come along."""
    left = shutil.ignore_patterns("node_modules", "gen", "out", "target")
    shutil.copytree(HERE / language, folder, dirs_exist_ok=True, ignore=left)


def _generate(folder: Path, template: str, plugins: Path) -> None:
    """Unpacks the archive and generates by one of its templates, below `folder`."""
    archive = folder / "archive"
    with zipfile.ZipFile(folder / downloads.ZIP) as packed:
        packed.extractall(archive)
    buf = str(Path(sysconfig.get_path("scripts")) / "buf")
    path = f"{plugins}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [buf, "generate", "--template", template, "-o", str(folder)]
    _run(archive, command, {"PATH": path})


def _fetch(folder: Path, command: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Runs what asks a registry; raises NotThereError where that does not answer."""
    try:
        _run(folder, command, environment)
    except subprocess.TimeoutExpired as late:
        raise NotThereError(f"{command[0]} was not ready within {BUILD_S} s") from late
    except BuildError as failed:
        if any(words in str(failed) for words in _NOT_TO_BE_HAD):
            raise NotThereError(str(failed)) from failed
        raise


def _run(folder: Path, command: list[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
