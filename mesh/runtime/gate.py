"""Every call passes here: proof, caller, token, policy, validation, deadline, errors.

A method's handler is composed once, at start, from its contract; a call then
runs one function, not a chain of interceptors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter

from mesh import policy
from mesh.runtime import access, calls, errors, metrics, traces, validation
from mesh.runtime.audit import Auditor
from mesh.runtime.calls import Call, User
from mesh.runtime.errors import MeshError
from mesh.runtime.proof import Proof
from mesh.runtime.tokens import Verifier

_log = structlog.get_logger(__name__)
_BEARER = "bearer "
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Unary = Callable[[Any, Call], Awaitable[Any]]
Streaming = Callable[[Any, Call], AsyncGenerator[Any, None]]


class Gate:
    """What a service checks of every call, and how it answers when something is wrong."""

    def __init__(
        self,
        service: str,
        proof: Proof,
        verifier: Verifier,
        auditor: Auditor | None,
        meanings: Mapping[str, policy.Meaning],
    ) -> None:
        self._service = service
        self._proof = proof
        self._verifier = verifier
        self._auditor = auditor
        self._meanings = meanings

    def unary(self, method: policy.Method, run: Unary) -> Callable[..., Awaitable[Any]]:
        """The handler of a method that answers once."""
        owner = access.owner_check(method)
        path = method.path
        duration = metrics.DURATIONS.labels(self._service, path)
        timeout_s = method.policy.timeout_ms / 1000

        async def handle(request: Message, context: Context) -> Any:
            started = time.perf_counter()
            call = None
            try:
                call = await self._enter(method, context, timeout_s)
                access.admit(method, call)
                validation.check(request)
                if owner is not None:
                    owner(request, call)
                with traces.span(call):
                    async with asyncio.timeout_at(call.deadline_s):
                        response = await run(request, call)
                await self._audit(method, call, request, "OK")
                self._count(method, call, "OK")
                return response
            except Exception as error:
                await self._refuse(method, call, request, error, context)
            finally:
                duration.observe((time.perf_counter() - started) * 1000)

        return handle

    def streaming(self, method: policy.Method, run: Streaming) -> Callable[..., Awaitable[None]]:
        """The handler of a method that streams its answers, or both ways."""
        owner = access.owner_check(method)
        under_way = metrics.STREAMS.labels(method.path)
        both_ways = method.descriptor.client_streaming

        async def handle(request: Any, context: Context) -> None:
            call = None
            limit = asyncio.timeout(None)
            under_way.inc()
            try:
                async with limit:
                    call = await self._enter(method, context, None, limit)
                    access.admit(method, call)
                    if not both_ways:
                        validation.check(request)
                        if owner is not None:
                            owner(request, call)
                    requests = _validated(request) if both_ways else request
                    # Closed at once, whatever ends the call: a method cleans up behind itself.
                    with traces.span(call):
                        async with aclosing(run(requests, call)) as responses:
                            async for response in responses:
                                await _write(context, response)
                self._count(method, call, "OK")
            except _Gone:
                self._count(method, call, "CANCELLED")
            except Exception as error:
                expired = limit.expired() and isinstance(error, TimeoutError)
                await self._refuse(
                    method, call, None, MeshError("TOKEN_EXPIRED") if expired else error, context
                )
            finally:
                under_way.dec()

        return handle

    async def _enter(
        self,
        method: policy.Method,
        context: Context,
        timeout_s: float | None,
        limit: asyncio.Timeout | None = None,
    ) -> Call:
        metadata: dict[str, str] = dict(context.invocation_metadata() or ())
        caller = self._proof.caller(metadata)
        token = metadata.get("authorization", "")
        user = None
        # A public method does not look at tokens: a stale one must not keep anyone from login.
        if token and method.policy.access != policy.PUBLIC:
            user = await self._user(token)
        if limit is not None and user is not None:
            limit.reschedule(calls.stream_end_s(user))
        call = Call(
            method=method.path,
            caller=caller,
            user=user,
            token=token,
            request_id=metadata.get("x-request-id", ""),
            traceparent=traces.incoming(metadata.get("traceparent", "")),
            deadline_s=_deadline_s(context, timeout_s),
            stream_limit=limit,
        )
        calls.enter(call)
        return call

    async def _user(self, authorization: str) -> User:
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise MeshError("TOKEN_INVALID", "the authorization is not a bearer token")
        return await self._verifier.verify(authorization[len(_BEARER) :])

    async def _refuse(
        self,
        method: policy.Method,
        call: Call | None,
        request: Message | None,
        error: Exception,
        context: Context,
    ) -> None:
        status, meaning = errors.status_of(error, self._meanings)
        if meaning.reason == "UNEXPECTED":
            metrics.UNEXPECTED.labels(method.path).inc()
            _log.error("unexpected_error", method=method.path, exc_info=error)
        if call is not None and request is not None:
            await self._audit(method, call, request, meaning.reason)
        self._count(method, call, policy.code_name(meaning.code))
        await errors.abort(context, status)

    async def _audit(
        self, method: policy.Method, call: Call, request: Message, outcome: str
    ) -> None:
        if self._auditor is not None and method.policy.audit:
            await self._auditor.record(call, _resource(method, request), outcome)

    def _count(self, method: policy.Method, call: Call | None, code: str) -> None:
        source = call.caller if call else ""
        _outcomes(source, self._service, method.path, code).inc()


@lru_cache(maxsize=4096)
def _outcomes(source: str, service: str, path: str, code: str) -> Counter:
    # Callers are workloads of the catalogue and codes are gRPC's: there are few of each.
    return metrics.REQUESTS.labels("destination", source, service, path, code)


class _Gone(Exception):
    """Whoever called is not there any more: nobody can be told anything."""


async def _write(context: Context, response: Any) -> None:
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:
        raise _Gone from error


def _deadline_s(context: Context, timeout_s: float | None) -> float | None:
    if timeout_s is None:
        return None
    # The stubs deny it, but a call without a deadline has none left.
    left_s = cast("float | None", context.time_remaining())
    longest_s = timeout_s if left_s is None else min(timeout_s, left_s)
    return asyncio.get_running_loop().time() + longest_s


def _resource(method: policy.Method, request: Message) -> str:
    if not method.policy.owner:
        return ""
    value: Any = request
    for part in method.policy.owner.split("."):
        value = getattr(value, part)
    return str(value)


async def _validated(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        validation.check(request)
        yield request
