"""What a caller sees of a method that misbehaves, is late, or is asked nonsense."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import structlog

from mesh import catalog, policy
from mesh.runtime import Call, calls, gate, logs, metrics
from mesh.runtime.audit import Auditor
from mesh.runtime.consistency import Reached
from mesh.runtime.gate import Gate
from mesh.runtime.proof import Proof
from mesh.runtime.server import DeclarationError, Server, handlers_of
from mesh.runtime.sql import Database
from mesh.runtime.tokens import PublicKey, Verifier
from palestra.identity.v1 import profile_service_pb2 as pb
from palestra.identity.v1.profile_pb2 import Profile
from palestra.training.v1 import activity_service_pb2 as activities
from palestra.training.v1 import tracker_service_pb2 as tracker
from tests.support import mesh_calls, standin_services
from tests.support.made_tokens import Signer

SIGNER = Signer("a-key")
USER = uuid.uuid4()
GET = policy.method_of(
    pb.DESCRIPTOR.services_by_name["ProfileService"].methods_by_name["GetProfile"]
)
UPDATE = policy.method_of(
    pb.DESCRIPTOR.services_by_name["ProfileService"].methods_by_name["UpdateProfile"]
)
WATCH = policy.method_of(
    activities.DESCRIPTOR.services_by_name["ActivityService"].methods_by_name["WatchActivity"]
)
INGEST = policy.method_of(
    tracker.DESCRIPTOR.services_by_name["TrackerService"].methods_by_name["IngestTelemetry"]
)
MINE = pb.GetProfileRequest(name="users/me")
MY_ACTIVITY = activities.WatchActivityRequest(name="users/me/activities/1")


class Profiles:
    """A ProfileService that does what a test tells it."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ProfileService"]

    def __init__(self) -> None:
        self.do: Callable[[Any, Call], Awaitable[Any]] = self.answer
        self.deadlines_s: list[float] = []

    async def answer(self, request: Any, call: Call) -> Any:
        assert call.deadline_s is not None
        self.deadlines_s.append(call.deadline_s - asyncio.get_running_loop().time())
        return pb.GetProfileResponse()

    async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def BatchGetCards(self, request: pb.BatchGetCardsRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def GetAthleteFacts(self, request: pb.GetAthleteFactsRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def CreateAvatarUpload(self, request: pb.CreateAvatarUploadRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def SetAvatar(self, request: pb.SetAvatarRequest, call: Call) -> Any:
        return await self.do(request, call)

    async def DeleteAvatar(self, request: pb.DeleteAvatarRequest, call: Call) -> Any:
        return await self.do(request, call)


async def _keys() -> list[PublicKey]:
    return [SIGNER.public]


class Worker:
    """A running server, and calls to it as the node proxy passes them on."""

    def __init__(self, channel: grpc.aio.Channel, profiles: Profiles) -> None:
        self.channel = channel
        self.profiles = profiles

    def headers(self, lifetime_s: int = 900, caller: str = "edge") -> mesh_calls.Headers:
        scopes = ["profile.read", "profile.write", "activities.read"]
        token = SIGNER.token(USER, scopes, lifetime_s=lifetime_s)
        return mesh_calls.headers(standin_services.PROOF, caller, token)

    async def outcome(self, method: policy.Method = GET, request: Any = MINE) -> str:
        return await mesh_calls.outcome(self.channel, method, request, self.headers())

    async def refusal(self, *more: tuple[str, str]) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await mesh_calls.call(self.channel, GET, MINE, (*self.headers(), *more))
        return refused.value


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    profiles = Profiles()
    others = [
        standin_services.standin(method.descriptor.containing_service) for method in (WATCH, INGEST)
    ]
    server, address = await standin_services.serve(folder, [profiles, *others], _keys)
    async with mesh_calls.channel(address) as channel:
        yield Worker(channel, profiles)
    await server.drain(0, 0)
    shutil.rmtree(folder)


async def test_an_unexpected_exception_is_masked_counted_and_logged(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(request: Any, call: Call) -> Any:
        raise ZeroDivisionError("the secret of the house")

    worker.profiles.do = fail
    before = metrics.UNEXPECTED.labels(GET.path)._value.get()
    refused = await worker.refusal()
    assert mesh_calls.refusal(refused) == "INTERNAL/UNEXPECTED"
    assert "secret" not in repr(refused) + str(mesh_calls.status_of(refused))
    assert "ZeroDivision" not in repr(refused)
    assert metrics.UNEXPECTED.labels(GET.path)._value.get() == before + 1
    assert "the secret of the house" in capsys.readouterr().out


@pytest.mark.parametrize("sent", ["x", "00-1-2-3", "-"])
async def test_a_broken_trace_context_does_not_unmask_it(
    worker: Worker, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(request: Any, call: Call) -> Any:
        raise ZeroDivisionError

    logged: list[Any] = []

    def keep(_logger: object, _name: str, event: Any) -> Any:
        logged.append(event)
        raise structlog.DropEvent

    processors = [logs._call_fields, keep]
    monkeypatch.setattr(gate, "_log", structlog.wrap_logger(None, processors=processors))
    worker.profiles.do = fail
    refused = await worker.refusal(("traceparent", sent))
    assert mesh_calls.refusal(refused) == "INTERNAL/UNEXPECTED"
    assert [len(event["trace_id"]) for event in logged] == [32]


async def test_a_timeout_inside_a_method_is_a_deadline(worker: Worker) -> None:
    async def late(request: Any, call: Call) -> Any:
        raise TimeoutError

    worker.profiles.do = late
    assert await worker.outcome() == "DEADLINE_EXCEEDED/DEADLINE_EXCEEDED"


async def test_a_method_may_take_as_long_as_its_contract_says(worker: Worker) -> None:
    async def slow(request: Any, call: Call) -> Any:
        await asyncio.sleep(5)

    worker.profiles.do = slow
    begun = time.monotonic()
    assert await worker.outcome() == "DEADLINE_EXCEEDED/DEADLINE_EXCEEDED"
    assert 0.9 < time.monotonic() - begun < 3
    assert GET.policy.timeout_ms == 1000


async def test_the_shorter_deadline_of_contract_and_client_holds(worker: Worker) -> None:
    for timeout_s in (0.5, 60):
        await worker.channel.unary_unary(GET.path, None, None)(
            MINE.SerializeToString(), metadata=worker.headers(), timeout=timeout_s
        )
    shorter, contracts = worker.profiles.deadlines_s
    assert 0.2 < shorter <= 0.5
    assert 0.7 < contracts <= 1.0


async def test_an_error_of_another_service_keeps_its_secrets(worker: Worker) -> None:
    async def fail(request: Any, call: Call) -> Any:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(),
            "secret",
            "secret",
        )

    worker.profiles.do = fail
    refused = await worker.refusal()
    assert mesh_calls.refusal(refused) == "INTERNAL/UNEXPECTED"
    assert "secret" not in repr(refused)


async def test_a_message_that_cannot_be_read_is_refused_in_the_contracts_words(
    worker: Worker,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await worker.channel.unary_unary(GET.path, None, None)(
            b"\xff\xff\xff", metadata=worker.headers(), timeout=5
        )
    assert mesh_calls.refusal(refused.value) == "INVALID_ARGUMENT/INVALID_FIELD"


async def test_a_message_in_a_stream_that_cannot_be_read_is_refused_likewise(
    worker: Worker,
) -> None:
    metadata = worker.headers()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in worker.channel.unary_stream(WATCH.path, None, None)(
            b"\xff\xff\xff", metadata=metadata, timeout=5
        ):
            pass
    assert mesh_calls.refusal(refused.value) == "INVALID_ARGUMENT/INVALID_FIELD"


async def test_an_unknown_method_is_refused_in_the_contracts_words(worker: Worker) -> None:
    for path in ("/palestra.identity.v1.ProfileService/DeleteAll", "/x.Y/Z", "/x"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await worker.channel.unary_unary(path, None, None)(b"", timeout=5)
        assert mesh_calls.refusal(refused.value) == "UNIMPLEMENTED/METHOD_UNKNOWN"


async def test_a_request_against_the_fields_rules_says_which(worker: Worker) -> None:
    request = pb.GetProfileRequest(name="groups/1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mesh_calls.call(worker.channel, GET, request, worker.headers())
    assert mesh_calls.refusal(refused.value) == "INVALID_ARGUMENT/INVALID_FIELD"
    assert "name" in mesh_calls.status_of(refused.value).message


@pytest.mark.parametrize("proof", ["", "wrong", standin_services.PROOF + "x", "é".encode().hex()])
async def test_a_call_with_another_proof_is_past_the_mesh(worker: Worker, proof: str) -> None:
    token = SIGNER.token(USER, ["profile.read"])
    metadata = mesh_calls.headers(proof, "edge", token)
    outcome = await mesh_calls.outcome(worker.channel, GET, MINE, metadata)
    assert outcome == "UNAUTHENTICATED/OUTSIDE_MESH"


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "bearer a b c", "Bearer x.y.z"]
)
async def test_what_is_no_bearer_token_is_refused_as_such(
    worker: Worker, authorization: str
) -> None:
    metadata = mesh_calls.headers(standin_services.PROOF, "edge")
    sent = (*metadata, ("authorization", authorization))
    expected = "TOKEN_INVALID" if authorization else "TOKEN_MISSING"
    outcome = await mesh_calls.outcome(worker.channel, GET, MINE, sent)
    assert outcome == f"UNAUTHENTICATED/{expected}"


async def test_of_two_authorizations_none_is_taken(worker: Worker) -> None:
    for second in (SIGNER.token(USER, ["profile.read"]), "x.y.z"):
        refused = await worker.refusal(("authorization", f"Bearer {second}"))
        assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
        assert [info.reason for info in mesh_calls.infos(refused)] == ["TOKEN_INVALID"]


async def test_what_a_consistency_token_asks_reaches_the_method_and_a_damaged_one_does_not(
    worker: Worker,
) -> None:
    seen: list[Call] = []

    async def look(request: Any, call: Call) -> Any:
        seen.append(call)
        return pb.GetProfileResponse()

    worker.profiles.do = look
    asked = Reached(USER, 7)
    header = catalog.CONSISTENCY_HEADER
    await mesh_calls.call(worker.channel, GET, MINE, (*worker.headers(), (header, asked.token)))
    assert [each.consistency for each in seen] == [(asked,)]
    refused = await worker.refusal((header, asked.token[:-1]))
    assert mesh_calls.refusal(refused) == "INVALID_ARGUMENT/CONSISTENCY_TOKEN_INVALID"
    assert len(seen) == 1


async def test_a_stream_ends_after_its_token_and_says_so(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "AFTER_EXPIRY_S", 0.5)
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    closed = asyncio.Event()

    async def watch(
        self: Any, request: activities.WatchActivityRequest, call: Call
    ) -> AsyncIterator[Any]:
        try:
            yield activities.WatchActivityResponse()
            await asyncio.sleep(60)
        finally:
            closed.set()

    watch.__annotations__ = {"request": activities.WatchActivityRequest}
    servicer = standin_services.standin(WATCH.descriptor.containing_service)
    setattr(type(servicer), "WatchActivity", watch)  # noqa: B010
    server, address = await standin_services.serve(folder, [servicer], _keys)
    async with mesh_calls.channel(address) as channel:
        stream = channel.unary_stream(WATCH.path, None, None)(
            MY_ACTIVITY.SerializeToString(), metadata=worker.headers(lifetime_s=1), timeout=20
        )
        begun = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in stream:
                pass
    assert mesh_calls.refusal(refused.value) == "UNAUTHENTICATED/TOKEN_EXPIRED"
    assert time.monotonic() - begun < 5
    await asyncio.wait_for(closed.wait(), 1)
    await server.drain(0, 0)
    shutil.rmtree(folder)


async def test_an_audit_that_fails_does_not_unmask_a_refusal_nor_undo_an_answer() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    (folder / "proof").write_text(standin_services.PROOF)

    class Broken(Database):
        def __init__(self) -> None: ...

        async def run(self, *_: Any) -> int:
            raise ZeroDivisionError("the secret of the house")

    made = Gate("identity", Proof(folder / "proof"), Verifier(_keys), Auditor(Broken()), {})
    server = Server(f"unix:{folder}/s.sock", [Profiles()], made)
    await server.start()
    async with mesh_calls.channel(f"unix:{folder}/s.sock") as channel:
        worker = Worker(channel, Profiles())
        anothers = pb.UpdateProfileRequest(profile=Profile(name=f"users/{uuid.uuid4()}"))
        assert await worker.outcome(UPDATE, anothers) == "PERMISSION_DENIED/NOT_OWNER"
        mine = pb.UpdateProfileRequest(profile=Profile(name="users/me"))
        assert await worker.outcome(UPDATE, mine) == "OK"
    await server.drain(0, 0)
    shutil.rmtree(folder)


def test_a_servicer_that_lacks_a_method_is_refused_at_start(tmp_path: Path) -> None:
    class Half:
        CONTRACT = pb.DESCRIPTOR.services_by_name["ProfileService"]

        async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> Any: ...

    (tmp_path / "proof").write_text("x")
    made = Gate("identity", Proof(tmp_path / "proof"), Verifier(_keys), None, {})
    with pytest.raises(DeclarationError, match=r"Half lacks .*UpdateProfile"):
        handlers_of(Half(), made)


def test_a_servicer_that_takes_another_request_is_refused_at_start(tmp_path: Path) -> None:
    class Wrong(Profiles):
        async def UpdateProfile(self, request: pb.GetProfileRequest, call: Call) -> Any: ...  # type: ignore[override]

    (tmp_path / "proof").write_text("x")
    made = Gate("identity", Proof(tmp_path / "proof"), Verifier(_keys), None, {})
    with pytest.raises(DeclarationError, match="does not take UpdateProfileRequest"):
        handlers_of(Wrong(), made)


def test_an_empty_proof_file_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "proof").write_text(" \n")
    with pytest.raises(ValueError, match="is empty"):
        Proof(tmp_path / "proof")
