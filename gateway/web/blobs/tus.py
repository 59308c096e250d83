"""tus 1.0.0, the resumable upload protocol: its headers, read and written.

Owns what of https://tus.io/protocols/resumable-upload is spoken: the core, checksum,
expiration, termination, and a length that is told late. Creation is a service's grant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from gateway.web.blobs.refusing import Refusal
from mesh.runtime.blobs import Upload

if TYPE_CHECKING:
    from hashlib import _Hash

VERSION: Final = "1.0.0"
RESUMABLE: Final = {"tus-resumable": VERSION}
MEDIA_TYPE: Final = "application/offset+octet-stream"
_ALGORITHMS = ("sha1", "sha256")
ABOUT: Final = {
    **RESUMABLE,
    "tus-version": VERSION,
    "tus-extension": "creation-defer-length,expiration,checksum,termination",
    "tus-checksum-algorithm": ",".join(_ALGORITHMS),
}
"""The answer to OPTIONS."""
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a part must have for a digest."""

    hash: _Hash
    expected: bytes

    def fits(self) -> bool:
        """Whether what went through the hash is what was meant."""
        return self.hash.digest() == self.expected


@dataclass(frozen=True, slots=True)
class Part:
    """What a PATCH says of itself."""

    offset: int
    length: int | None
    """Of the whole upload, where it is told now."""
    checksum: Checksum | None


def check_version(headers: Mapping[str, str]) -> None:
    """Refuses another version of the protocol.

    Raises:
        Refusal: 412, with the version that is spoken.
    """
    if headers.get("tus-resumable") != VERSION:
        raise Refusal(
            "INVALID_FIELD", f"tus-resumable: {VERSION} is needed", status=412, headers=ABOUT
        )


def part(headers: Mapping[str, str]) -> Part:
    """The headers of a PATCH.

    Raises:
        Refusal: one is missing or cannot be meant.
    """
    check_version(headers)
    if headers.get("content-type", "").partition(";")[0].strip() != MEDIA_TYPE:
        raise Refusal("INVALID_FIELD", f"content-type: {MEDIA_TYPE} is needed", status=415)
    offset = _number(headers, "upload-offset")
    if offset is None:
        raise Refusal("INVALID_FIELD", "upload-offset is needed")
    checksum = headers.get("upload-checksum")
    return Part(
        offset, _number(headers, "upload-length"), _checksum(checksum) if checksum else None
    )


def told(link: Upload, offset: int) -> dict[str, str]:
    """What every answer about an upload says."""
    expires = formatdate(link.expires_at_s, usegmt=True)
    return {**RESUMABLE, "upload-offset": str(offset), "upload-expires": expires}


def length(known: int | None) -> dict[str, str]:
    """How long the whole is, or that it is yet to be told."""
    return {"upload-defer-length": "1"} if known is None else {"upload-length": str(known)}


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise Refusal("INVALID_FIELD", f"{name} is no number of bytes")
    return int(text)


def _checksum(text: str) -> Checksum:
    name, _, encoded = text.partition(" ")
    if name not in _ALGORITHMS:
        raise Refusal("INVALID_FIELD", f"upload-checksum: one of {', '.join(_ALGORITHMS)}")
    try:
        expected = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Refusal("INVALID_FIELD", "upload-checksum: base64 is needed") from None
    return Checksum(hashlib.new(name, usedforsecurity=False), expected)
