"""What stands in the archive of the public contract.

Owns its list: our files, what they import, a page of instructions, and buf's settings.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from google.protobuf import descriptor_pb2

from gateway.published.printing import text_of
from gateway.published.public import Published

_BESIDE = Path(__file__).parent / "beside"


def sources(public: Published) -> dict[str, bytes]:
    """The .proto files by path."""
    ours = {file.name: text_of(file, public.comments).encode() for file in public.files}
    return ours | {file.name: _of_others(file) for file in public.imports}


def beside() -> dict[str, bytes]:
    """What helps to use them."""
    return {path.name: path.read_bytes() for path in _BESIDE.iterdir()}


def _of_others(file: descriptor_pb2.FileDescriptorProto) -> bytes:
    """As its authors wrote it, where their package carries the text."""
    written = Path(sysconfig.get_path("purelib")) / file.name
    return written.read_bytes() if written.is_file() else text_of(file).encode()
