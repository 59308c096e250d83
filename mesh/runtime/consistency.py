"""Consistency tokens: how far a copy of the relations must be for its answer to count.

A change of relations answers with one; whoever sends it along with his next calls
(`x-palestra-consistency`) is never answered from a copy that has not come so far. It opens
no door: one that was made up makes its sender see less. So it has a digest against damage,
and no signature.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from mesh.runtime.errors import MeshError

MOST: Final = 4
"""Tokens in one header, with commas between: of changes that were made at once."""
LONGEST: Final = 64 * MOST
_FORM: Final = b"\x01"
_DIGEST_BYTES: Final = 8


class Reached(NamedTuple):
    """The relations of a person, as of one of his changes."""

    user: uuid.UUID
    version: int

    @property
    def token(self) -> str:
        """As clients keep it: 44 letters."""
        body = _FORM + self.user.bytes + self.version.to_bytes(8)
        return base64.urlsafe_b64encode(body + _digest(body)).rstrip(b"=").decode()


def read(header: str) -> tuple[Reached, ...]:
    """What a header asks for; nothing where it is empty.

    Raises:
        MeshError: CONSISTENCY_TOKEN_INVALID
    """
    if not header:
        return ()
    texts = header.split(",")
    if len(header) > LONGEST or len(texts) > MOST:
        raise MeshError("CONSISTENCY_TOKEN_INVALID", f"at most {MOST} tokens are possible")
    return tuple(_read(text.strip()) for text in texts)


def header(asked: Sequence[Reached]) -> str:
    """The header that asks for the same."""
    return ",".join(each.token for each in asked)


def _read(text: str) -> Reached:
    try:
        whole = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise MeshError("CONSISTENCY_TOKEN_INVALID") from None
    body, digest = whole[:-_DIGEST_BYTES], whole[-_DIGEST_BYTES:]
    if len(body) != 25 or body[:1] != _FORM or digest != _digest(body):
        raise MeshError("CONSISTENCY_TOKEN_INVALID")
    found = Reached(uuid.UUID(bytes=body[1:17]), int.from_bytes(body[17:]))
    # Another way to write the same would be a token that nobody gave.
    if found.version >= 1 << 63 or found.token != text:
        raise MeshError("CONSISTENCY_TOKEN_INVALID")
    return found


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(b"palestra consistency" + body).digest()[:_DIGEST_BYTES]
