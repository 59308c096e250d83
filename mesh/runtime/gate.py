"""Every call passes here: proof, caller, token, policy, validation, deadline, errors.

A method's handler is composed once, at start, from its contract; a call then
runs one function, not a chain of interceptors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import lru_cache, partial
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import Message
from prometheus_client import Counter

from mesh import catalog, policy
from mesh.runtime import (
    access,
    calls,
    conditions,
    consistency,
    errors,
    metrics,
    rendering,
    traces,
    validation,
)
from mesh.runtime.audit import Auditor
from mesh.runtime.calls import Call, User
from mesh.runtime.consistency import Reached
from mesh.runtime.endings import Told, endings_of
from mesh.runtime.errors import MeshError
from mesh.runtime.proof import Proof
from mesh.runtime.repeats import Repeats
from mesh.runtime.streams import LiveStream, LiveStreams
from mesh.runtime.tokens import Verifier

_log = structlog.get_logger(__name__)
_BEARER = "bearer "
MOST_OF_A_NAME = 64
_FOR_WORDS_S = 0.02
"""Before the caller's deadline: what we say of it is heard, where gRPC's own end has no words."""
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
        repeats: Repeats | None = None,
    ) -> None:
        self.repeats = repeats
        self._streams = LiveStreams(verifier.revocations)
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
        answers, requests = conditions.answers_of(method), conditions.requests_of(method)
        envelope = rendering.envelope_of(method)

        async def handle(request: Message, context: Context) -> Any:
            started = time.perf_counter()
            call = None
            try:
                call = await self._enter(method, context, timeout_s)
                access.admit(method, call)
                asked = call.conditions
                if asked is not None and asked.if_match and requests is not None:
                    requests.bind(request, asked.if_match)
                validation.check(request)
                if owner is not None:
                    owner(request, call)
                with traces.span(call):
                    async with asyncio.timeout_at(call.deadline_s):
                        response = await run(request, call)
                if answers is not None and asked is not None:
                    response = answers.told(response, asked, context)
                if envelope is not None and asked is not None:
                    response = envelope(response)
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
        endings = endings_of(method)

        async def handle(request: Any, context: Context) -> None:
            call = None
            stream = LiveStream(self._streams)
            told = Told(endings, partial(_write, context))
            beating = asyncio.create_task(told.beat()) if endings is not None else None
            under_way.inc()
            try:
                async with stream:
                    call = await self._enter(method, context, None, stream)
                    access.admit(method, call)
                    if not both_ways:
                        validation.check(request)
                        if owner is not None:
                            owner(request, call)
                    await self._opened(method, call, None if both_ways else request)
                    if both_ways:
                        await _admitted(context)
                    requests = _validated(request) if both_ways else request
                    # Closed at once, whatever ends the call: a method cleans up behind itself.
                    with traces.span(call):
                        async with aclosing(run(requests, call)) as responses:
                            async for response in responses:
                                await told.say(response)
                    await told.finish()
                self._count(method, call, "OK")
            except _Gone:
                self._count(method, call, "CANCELLED")
            except Exception as error:
                if stream.over and isinstance(error, TimeoutError):
                    error = MeshError("TOKEN_REVOKED" if stream.revoked else "TOKEN_EXPIRED")
                await self._refuse(method, call, None, error, context, told)
            finally:
                if beating is not None:
                    beating.cancel()
                under_way.dec()

        return handle

    async def _enter(
        self,
        method: policy.Method,
        context: Context,
        timeout_s: float | None,
        stream: LiveStream | None = None,
    ) -> Call:
        told = context.invocation_metadata() or ()
        metadata: dict[str, str] = dict(told)
        caller = self._proof.caller(metadata)
        token = metadata.get("authorization", "")
        user = None
        # A public method does not look at tokens: a stale one must not keep anyone from login.
        if token and method.policy.access != policy.PUBLIC:
            if len(metadata) != len(told) and sum(name == "authorization" for name, _ in told) > 1:
                raise MeshError("TOKEN_INVALID", "more than one authorization")
            user = await self._user(token)
        if stream is not None and user is not None:
            stream.belongs_to(user)
        call = Call(
            method=method.path,
            caller=caller,
            user=user,
            token=token,
            request_id=metadata.get("x-request-id", ""),
            traceparent=traces.incoming(metadata.get("traceparent", "")),
            developer=metadata.get(catalog.DEVELOPER_HEADER, "")[:MOST_OF_A_NAME],
            address=metadata.get(catalog.ADDRESS_HEADER, ""),
            user_agent=metadata.get("user-agent", ""),
            deadline_s=_deadline_s(context, timeout_s),
            consistency=_consistency(method, metadata),
            conditions=(asked := conditions.asked(metadata) if method.http else None),
            renders=asked is not None and method.policy.rendering == policy.BY_SERVICE,
            stream=stream,
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
        told: Told | None = None,
    ) -> None:
        status, meaning = errors.status_of(error, self._meanings)
        if meaning.reason == "UNEXPECTED":
            metrics.UNEXPECTED.labels(method.path).inc()
            _log.error("unexpected_error", method=method.path, exc_info=error)
        if call is not None and (request is not None or _is_service(call)):
            await self._audit(method, call, request, meaning.reason)
        self._count(method, call, policy.code_name(meaning.code))
        if told is not None:
            with suppress(_Gone, TimeoutError):
                await told.fail(status)
        await errors.abort(context, status)

    async def _opened(self, method: policy.Method, call: Call, request: Message | None) -> None:
        """A stream of a program of ours is kept when it begins: it may end with the process."""
        if _is_service(call):
            await self._audit(method, call, request, "OPENED")

    async def _audit(
        self, method: policy.Method, call: Call, request: Message | None, outcome: str
    ) -> None:
        # Whatever a program of ours does in its own name is kept, be it a read.
        if self._auditor is not None and (method.policy.audit or _is_service(call)):
            resource = call.about[-1] if call.about else _resource(method, request)
            await self._auditor.record(call, resource, outcome)

    def _count(self, method: policy.Method, call: Call | None, code: str) -> None:
        source = call.caller if call else ""
        _outcomes(source, self._service, method.path, code).inc()


@lru_cache(maxsize=4096)
def _outcomes(source: str, service: str, path: str, code: str) -> Counter:
    # Callers are workloads of the catalogue and codes are gRPC's: there are few of each.
    return metrics.REQUESTS.labels("destination", source, service, path, code)


class _Gone(Exception):
    """Whoever called is not there any more: nobody can be told anything."""


async def _admitted(context: Context) -> None:
    """Tells a caller that it may speak, who otherwise hears nothing until it has spoken.

    A message that meets a refusal on its way can hide it: gRPC then tells of neither.
    """
    try:
        await context.send_initial_metadata(())
    except grpc.aio.InternalError as error:
        raise _Gone from error


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
    longest_s = timeout_s if left_s is None else min(timeout_s, max(0.0, left_s - _FOR_WORDS_S))
    return asyncio.get_running_loop().time() + longest_s


def _consistency(method: policy.Method, metadata: Mapping[str, str]) -> tuple[Reached, ...]:
    header = metadata.get(catalog.CONSISTENCY_HEADER, "")
    # As with tokens: no header keeps anyone from what is for everyone.
    return consistency.read(header) if header and method.policy.access != policy.PUBLIC else ()


def _is_service(call: Call) -> bool:
    return call.user is not None and call.user.is_service


def _resource(method: policy.Method, request: Message | None) -> str:
    """What a call is about: its owner's field, else what its `name` or `parent` says."""
    if request is None:
        return ""
    fields = method.descriptor.input_type.fields_by_name
    path = method.policy.owner or next((each for each in ("name", "parent") if each in fields), "")
    value: Any = request
    for part in filter(None, path.split(".")):
        value = getattr(value, part)
    return value if isinstance(value, str) else ""


async def _validated(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        validation.check(request)
        yield request
