"""Signed links: who has one may do what it says, until it expires, and nothing else.

Owns the canonical text that is signed: every part of the link but the host, so that a
change of any part is refused. Never looks at a store.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from mesh.runtime.blobs import names
from mesh.runtime.blobs.names import BlobName
from mesh.runtime.blobs.secrets import TURN_S, KeyFile
from mesh.runtime.errors import MeshError

LONGEST_S = TURN_S
LONGEST_QUERY = 2_048
LONGEST_FILE_NAME = 120
_UPLOAD, _DOWNLOAD = "upload", "download"
_VERBS = {
    _UPLOAD: frozenset({"HEAD", "PUT", "PATCH", "DELETE"}),
    _DOWNLOAD: frozenset({"GET", "HEAD"}),
}
_VERSION = "palestra.blobs.v1"
_MOST_PARAMETERS = 12


@dataclass(frozen=True, slots=True)
class Upload:
    """What a link for sending allows: one blob, once."""

    blob: BlobName
    expires_at_s: int
    max_bytes: int
    media_types: tuple[str, ...]
    """Of which the content's own first bytes must say one."""
    size_bytes: int | None = None
    """Exactly so many, where the service knows."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a link for reading allows: one blob, any number of times."""

    blob: BlobName
    expires_at_s: int
    file_name: str = ""
    """What it is saved as."""
    inline: bool = False
    """Whether a browser may show it instead of saving it, where it is harmless."""
    fresh_s: int = 0
    """How long the reader's own cache may keep it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A link, signed."""

    uri: str
    expires_at_s: int


class Links:
    """Signs links, and reads those that were signed."""

    def __init__(
        self, keys: KeyFile, site: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._site = site.rstrip("/")
        self._clock = clock

    def upload(self, link: Upload) -> Grant:
        """The URL to send to."""
        parameters = {"max-bytes": str(link.max_bytes), "types": ",".join(link.media_types)}
        if link.size_bytes is not None:
            parameters["size"] = str(link.size_bytes)
        return self._sign(_UPLOAD, link.blob, link.expires_at_s, parameters)

    def download(self, link: Download) -> Grant:
        """The URL to read from."""
        parameters = {
            "disposition": "inline" if link.inline else "attachment",
            "fresh-s": str(link.fresh_s),
            "name": link.file_name[:LONGEST_FILE_NAME],
        }
        return self._sign(_DOWNLOAD, link.blob, link.expires_at_s, parameters)

    def public(self, blob: BlobName) -> str:
        """The URL of a blob that anybody may read."""
        return f"{self._site}{blob.path}"

    def read(self, verb: str, path: str, query: str) -> Upload | Download:
        """What a request's link allows, once the signature is known to be ours.

        Raises:
            MeshError: LINK_INVALID or LINK_EXPIRED.
        """
        told = _parameters(query)
        use = told.get("use", "")
        key = self._keys.find(told.get("key-id", ""))
        shown = told.pop("signature", "")
        # Made in any case, so that an unknown key takes as long as a wrong signature.
        signature = _signature(key.secret if key else b"-", path, told)
        if not hmac.compare_digest(signature.encode(), shown.encode()) or key is None:
            raise MeshError("LINK_INVALID")
        if verb not in _VERBS.get(use, frozenset()):
            raise MeshError("LINK_INVALID", f"the link is for {use}s, not for {verb}")
        if int(told["expires"]) <= self._clock():
            raise MeshError("LINK_EXPIRED")
        return _link(use, names.parse(path), told)

    def _sign(
        self, use: str, blob: BlobName, expires_at_s: int, parameters: Mapping[str, str]
    ) -> Grant:
        if not 0 < expires_at_s - self._clock() <= LONGEST_S:
            raise ValueError(f"a link lives for 1 to {LONGEST_S} s")
        key = self._keys.signing()
        told = {**parameters, "expires": str(expires_at_s), "key-id": key.id, "use": use}
        told["signature"] = _signature(key.secret, blob.path, told)
        return Grant(f"{self._site}{blob.path}?{urlencode(told, quote_via=quote)}", expires_at_s)


def _parameters(query: str) -> dict[str, str]:
    if len(query) > LONGEST_QUERY:
        raise MeshError("LINK_INVALID")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise MeshError("LINK_INVALID") from None
    told = dict(pairs)
    if len(told) != len(pairs):
        raise MeshError("LINK_INVALID")
    return told


def _signature(secret: bytes, path: str, told: Mapping[str, str]) -> str:
    # Sorted and escaped, so that no two links have the same text.
    text = "\n".join((_VERSION, path, urlencode(sorted(told.items()), quote_via=quote)))
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _link(use: str, blob: BlobName, told: Mapping[str, str]) -> Upload | Download:
    expires_at_s = int(told["expires"])
    if use == _DOWNLOAD:
        inline = told["disposition"] == "inline"
        return Download(blob, expires_at_s, told["name"], inline, int(told["fresh-s"]))
    size = int(told["size"]) if "size" in told else None
    types = tuple(told["types"].split(","))
    return Upload(blob, expires_at_s, int(told["max-bytes"]), types, size)
