"""No personal value is in a log, a metric, a trace, an event or an audit record.

Every method of identity is called with a value of its own in each personal field; then all
that was written beside the tables of people is looked through. The one exception is the
public card (display name, avatar), which travels in events.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message

from mesh import catalog, policy
from mesh.local import envoy
from tests.support import administrators, canaries, footprints, mesh_calls, workloads
from tests.support.canaries import Canaries
from tests.support.local_stack import until
from tests.support.made_requests import request
from tests.support.shops import real_shop
from tests.support.span_sink import span_sink
from tests.support.whole_stack import WholeStack, whole_stack

METHODS = {
    path: method
    for path, method in policy.load().methods.items()
    if method.service == "identity" and not method.descriptor.client_streaming
}
STREAM_S = 2.0
TRACE = "5ca1ab1e" * 4
TRACED = f"00-{TRACE}-{'c0ffee00' * 2}-01"
"""Every call is sampled: its spans, and those of what it calls, are exported."""
EXPORTED_S = 20.0
"""Spans leave in batches, every 5 s."""
CARD = frozenset({"display_name", "avatar_uri", "avatar_small_uri"})
"""The fields of the public card, which may travel in events."""
_LAST = ("Erase", "Logout", "End", "Revoke", "Delete", "Erasure", "Rotate", "lockUser")
_NOTES = ("outbox", "audit_records", "dead_letters", "inbox", "repeats")
_UPDATE = "/palestra.identity.v1.ProfileService/UpdateProfile"
_CONSENTS = "/palestra.identity.v1.ConsentService/ListConsents"
_USER_INFO = "/palestra.identity.v1.OAuthService/GetUserInfo"
"""It looks at a token itself, behind the gate, and says of a canary what the gate would."""
PROXIES = ("edge", "node")


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    """A stack of its own, whose services send their spans."""
    with (
        real_shop() as shop,
        span_sink() as spans,
        whole_stack({}, shop=shop, spans=spans) as running,
    ):
        yield running


async def call(
    stack: WholeStack,
    to: grpc.aio.Channel,
    method: policy.Method,
    user: str,
    token: str,
    flown: Canaries,
) -> str:
    """Calls a method with canaries in it; how it ended."""
    owner = uuid.UUID(user.removeprefix("users/"))
    sent = request(method, owner)
    flown.fill(sent, method.descriptor.input_type)
    metadata = (("authorization", f"Bearer {token}"), ("traceparent", TRACED))
    answer = message_factory.GetMessageClass(method.descriptor.output_type)
    try:
        if method.policy.access == policy.SERVICE:
            caller = next((each for each in method.policy.callers if each != "*"), "training")
            async with workloads.as_workload(stack, caller, "identity") as inside:
                packed = await asked(inside, method, sent, metadata[1:])
        else:
            packed = await asked(to, method, sent, metadata)
    except grpc.aio.AioRpcError as error:
        return mesh_calls.refusal(error)
    flown.answered(answer.FromString(packed))
    return "OK"


async def asked(
    to: grpc.aio.Channel, method: policy.Method, sent: Message, metadata: mesh_calls.Headers
) -> bytes:
    """The answer; of a stream the first, or nothing where it says nothing for a while."""
    if not method.descriptor.server_streaming:
        return await mesh_calls.call(to, method, sent, metadata)
    packed = sent.SerializeToString()
    answers = to.unary_stream(method.path, None, None)(packed, metadata=metadata)
    try:
        async with asyncio.timeout(STREAM_S):
            first: bytes = await anext(aiter(answers), b"")
            return first
    except TimeoutError:
        return b""
    finally:
        answers.cancel()


def _turn(path: str) -> tuple[bool, bool, str]:
    """Who is erased comes in no more."""
    return "EraseData" in path, any(word in path for word in _LAST), path


@pytest.mark.slow
async def test_no_personal_value_of_any_method_is_in_what_is_written(stack: WholeStack) -> None:
    person = await asyncio.to_thread(administrators.somebody, stack)
    staff = await asyncio.to_thread(administrators.of, stack)
    birds = Canaries()
    ended: dict[str, str] = {}
    ordered = sorted(METHODS, key=_turn)
    async with workloads.through_the_edge(stack) as edge:
        for path in ordered:
            # In a sign-in of its own, for some of them end it.
            caller = staff if METHODS[path].policy.access == policy.ROLE else person
            token = await asyncio.to_thread(caller.sign_in)
            ended[path] = await call(stack, edge, METHODS[path], person.user, token, birds)
    assert_covered(ended, birds.sent_fields)
    flown = birds.flown
    places = await asyncio.to_thread(written, stack)
    places["metrics"] = await metrics(stack)
    places["traces"] = await asyncio.to_thread(traces, stack, ended)
    assert found_in(places["events"], flown, CARD), "what may be there is found"
    for place, text in places.items():
        allowed = CARD if place == "events" else frozenset()
        assert found_in(text, flown, allowed, but=True) == {}, place


def assert_covered(ended: dict[str, str], sent: set[str]) -> None:
    """Every method was called, past the gate; every personal text of a request was sent."""
    assert ended.keys() == METHODS.keys()
    assert ended[_UPDATE] == "OK"
    at_the_gate = (
        *("TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "CALLER_REFUSED", "ROLE_MISSING"),
        *("SCOPE_MISSING", "OUTSIDE_MESH", "NOT_OWNER"),
    )
    stopped = {
        path: outcome
        for path, outcome in ended.items()
        if outcome.partition("/")[2].startswith(at_the_gate) and path != _USER_INFO
    }
    assert stopped == {}, "they did not get to what they were to show"
    wanted = {
        name
        for method in METHODS.values()
        for name in canaries.personal_texts(method.descriptor.input_type)
    }
    assert wanted - sent == set(), "teach tests/support/canaries.py to fill them"


def written(stack: WholeStack) -> dict[str, str]:
    """Logs of all processes, events on their way and on the bus, the runtime's own tables."""
    logs = "".join(each.read_text(errors="replace") for each in stack.places.logs.glob("*.log*"))
    rows = {}
    with stack.database() as database:
        for table in _NOTES:
            found = [
                str(text)
                for each in catalog.SERVICES
                for (text,) in database.execute(
                    f"SELECT t::text FROM {each.name}.{table} t".encode()
                ).fetchall()
            ]
            rows[table] = "\n".join(found)
    with stack.redis(as_text=False) as redis:
        bus = footprints.everything_in_redis(redis)
    return {"logs": logs, "events": bus + rows.pop("outbox"), **rows}


async def metrics(stack: WholeStack) -> str:
    """What every process tells of itself in numbers; of the proxies also their whole admin page."""
    run = stack.places.run
    told = [await envoy.get(path, "/metrics") for path in sorted(run.glob("*.prom"))]
    served = [each for each in told if b"istio_requests_total" in each]
    assert len(served) >= len(stack.names("identity")) + len(stack.names("training"))
    for proxy in PROXIES:
        stats = await envoy.get(run / f"{proxy}.admin.sock", "/stats?usedonly")
        assert b"http." in stats
        told.append(stats)
    return b"".join(told).decode(errors="replace")


def traces(stack: WholeStack, ended: dict[str, str]) -> str:
    """All spans, when those of the methods that were called are among them."""
    sink, trace = stack.spans, bytes.fromhex(TRACE)
    assert sink is not None
    until(
        lambda: {_UPDATE, _CONSENTS} <= sink.names(trace),
        EXPORTED_S,
        f"spans come: {len(sink.names(trace))} of {len(ended)}",
    )
    return sink.text()


def found_in(
    text: str, flown: dict[str, str], fields: frozenset[str], *, but: bool = False
) -> dict[str, str]:
    """The values in a text that were in fields of these names; `but`, in any other."""
    return {
        value: name
        for value, name in flown.items()
        if (name.rpartition(".")[2] in fields) != but
        and any(form in text for form in canaries.forms(value))
    }
