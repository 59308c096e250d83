"""Envoy's question -> decision -> answer, with the headers that the caller is shown.

Owns the one method of the protocol. An unreadable question passes, counted and logged: a
mistake of ours must not close the API.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from functools import lru_cache

import grpc
import structlog
from prometheus_client import Counter

from gateway.limiter import wire
from gateway.limiter.asked import DescriptorError, Reader
from gateway.limiter.decider import Decider
from gateway.limiter.windows import Verdict
from gateway.limits import LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER
from mesh.observability import schema
from mesh.runtime import errors

UNREADABLE = Counter(schema.LIMIT_QUESTIONS_UNREADABLE, "Questions that nobody could read.")
_log = structlog.get_logger(__name__)


class Limiter:
    """Answers ShouldRateLimit."""

    def __init__(self, reader: Reader, decider: Decider) -> None:
        """Reads with the one, decides with the other."""
        self._reader, self._decider = reader, decider

    async def should_rate_limit(self, question: wire.Question, _context: object) -> wire.Answer:
        """Whether a call may pass."""
        try:
            asked = [self._reader.read(question.domain, each) for each in question.descriptors]
        except DescriptorError as error:
            UNREADABLE.inc()
            _log.warning("unreadable question", error=str(error))
            return wire.Answer(over=False, remaining=(0,) * len(question.descriptors))
        return answer_of(await self._decider.decide(asked), len(asked))


def answer_of(found: Sequence[Verdict], descriptors: int) -> wire.Answer:
    """What Envoy is told; the headers are those of the tightest limit."""
    if not found:
        return wire.Answer(over=False, remaining=())
    tightest = min(found, key=lambda each: (each.allowed, each.remaining / each.limit))
    wait_s = math.ceil(tightest.wait_s)
    if not tightest.allowed:
        wait_s = max(1, wait_s)
    headers = [
        (LIMIT_HEADER, str(tightest.limit)),
        (REMAINING_HEADER, str(tightest.remaining)),
        (RESET_HEADER, str(wait_s)),
    ]
    if not tightest.allowed:
        headers.append(("retry-after", str(wait_s)))
        headers.append((errors.DETAILS_KEY, _details(wait_s)))
    left = [each.remaining for each in found] + [0] * (descriptors - len(found))
    return wire.Answer(not tightest.allowed, tuple(left), tuple(headers))


@lru_cache(maxsize=256)
def _details(wait_s: int) -> str:
    """The refusal with when to come back, for gRPC; for REST the edge writes it itself."""
    refused = errors.MeshError("OVERLOADED", retry_after_s=wait_s)
    status, _ = errors.status_of(refused, {})
    return base64.b64encode(status.SerializeToString()).decode()


def handlers(limiter: Limiter) -> grpc.GenericRpcHandler[bytes, bytes]:
    """The service, for a grpc.aio server."""
    handler = grpc.unary_unary_rpc_method_handler(
        limiter.should_rate_limit,
        request_deserializer=wire.question,
        response_serializer=wire.answer,
    )
    service, _, method = wire.METHOD[1:].partition("/")
    return grpc.method_handlers_generic_handler(service, {method: handler})
