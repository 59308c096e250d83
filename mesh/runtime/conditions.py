"""HTTP's conditions on calls that came over REST: ETag, If-None-Match, If-Match.

Owns what an answer's tag is and what a caller's tags ask for. The tag travels in the
call's trailers, which cost nothing, and the edge makes it a header (an answer's first
headers would be a message of their own). Never looks at a call that came by gRPC:
its messages say etags themselves.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.message import Message

from mesh import policy
from mesh.policy import ETAG
from mesh.runtime.errors import MeshError, invalid_field
from mesh.runtime.rendering import Json

OVER_REST: Final = "x-envoy-original-path"
"""What the edge's transcoder leaves of a REST call's path; outsiders cannot send it."""
TAG_TRAILER, CONTROL_TRAILER = "x-palestra-etag", "x-palestra-cache-control"
UNCHANGED_TRAILER: Final = "x-palestra-unchanged"
"""Says that the caller has the answer already, which therefore is empty."""
_UNCHANGED = (UNCHANGED_TRAILER, "1")
RENDERED_TRAILER: Final = "x-palestra-rendered"
"""Says that the answer is the envelope that the edge expects; else the edge refuses it."""
_RENDERED = (RENDERED_TRAILER, "1")
LONGEST_HEADER: Final = 2_048
_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e]*)"\s*')
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_HASH_BYTES = 12


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a REST call's headers ask for."""

    if_match: str = ""
    if_none_match: str = ""


NONE: Final = Conditions()


def asked(metadata: Mapping[str, str]) -> Conditions | None:
    """The conditions of a call; None where it did not come over REST."""
    if OVER_REST not in metadata:
        return None
    match, none_match = metadata.get("if-match", ""), metadata.get("if-none-match", "")
    return Conditions(match, none_match) if match or none_match else NONE


def _tags(header: str, name: str) -> list[str]:
    """The tags of a list, without their quotes.

    Raises:
        MeshError: INVALID_FIELD where it is no list of tags.
    """
    tags = []
    for each in header[: LONGEST_HEADER + 1].split(","):
        found = _TAG.fullmatch(each)
        if found is None or len(header) > LONGEST_HEADER:
            raise invalid_field(name, 'it is to be *, or etags as they were answered: "…", "…"')
        tags.append(found[1])
    return tags


class Answers:
    """What caches may do with one method's answers."""

    def __init__(self, method: policy.Method) -> None:
        self.method = method
        cache, answer = method.policy.cache, method.descriptor.output_type
        who = "public" if cache.shared else "private"
        fresh = f"max-age={cache.max_age_s}, must-revalidate" if cache.max_age_s else "no-cache"
        self._control = (CONTROL_TRAILER, f"{who}, {fresh}")
        self._rendered = (_RENDERED,) if method.policy.rendering == policy.BY_SERVICE else ()
        self._resource = policy.etag_holder(answer)
        self._parse = message_factory.GetMessageClass(answer).FromString

    def told(self, response: Message | bytes, conditions: Conditions, context: Any) -> bytes:
        """The answer with its tag in the trailers; empty where the caller has it already.

        Raises:
            MeshError: INVALID_FIELD where If-None-Match is no list of tags.
        """
        packed = response if isinstance(response, bytes) else response.SerializeToString()
        tag = self._tag(packed, packed.etag if isinstance(packed, Json) else None)
        wanted = conditions.if_none_match
        known = bool(wanted) and (wanted == "*" or tag in _tags(wanted, "if-none-match"))
        trailers = ((TAG_TRAILER, f'"{tag}"'), self._control, *self._rendered)
        context.set_trailing_metadata((*trailers, _UNCHANGED) if known else trailers)
        return type(packed)() if known else packed

    def _tag(self, packed: bytes, etag: str | None) -> str:
        """Of what was answered; it begins with the etag of the resource that is in it."""
        # A live resource changes in more than its etag says, so that alone would not do.
        digest = urlsafe_b64encode(hashlib.sha256(packed).digest()[:_HASH_BYTES]).decode()
        if not self._resource:
            return digest
        if etag is None:
            etag = getattr(getattr(self._parse(packed), self._resource), ETAG)
        return f"{etag}.{digest}" if _PLAIN.fullmatch(etag) else digest


def answers_of(method: policy.Method) -> Answers | None:
    """The caching of a method's answers; None where the contract allows none."""
    return Answers(method) if method.http and method.policy.HasField("cache") else None


class Requests:
    """How If-Match becomes the etag of one method's requests."""

    def __init__(self, method: policy.Method) -> None:
        request = method.descriptor.input_type
        self._plain = policy.has_etag(request)
        self._holder = "" if self._plain else policy.etag_holder(request)

    def bind(self, request: Any, if_match: str) -> None:
        """Writes the etag that the caller has into the request.

        Raises:
            MeshError: INVALID_FIELD where it is not one etag, the request says another,
                or the method knows no etag: a condition is never passed over.
        """
        if not self._plain and not self._holder:
            raise invalid_field("if-match", "this method knows no etag")
        if if_match.strip() == "*":
            return
        tags = _tags(if_match, "if-match")
        if len(tags) != 1:
            raise invalid_field("if-match", "give one etag")
        etag = tags[0].partition(".")[0]
        holder = request if self._plain else getattr(request, self._holder)
        said = getattr(holder, ETAG)
        if said and said != etag:
            raise MeshError("INVALID_FIELD", "if-match and the request's etag differ")
        setattr(holder, ETAG, etag)


def requests_of(method: policy.Method) -> Requests | None:
    """The conditions of a method that changes something; None where it only reads."""
    return None if not method.http or method.policy.repeat == policy.READ else Requests(method)
