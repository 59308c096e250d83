"""Stand-ins for the services behind the mesh, for tests of the mesh alone.

Owns a process that serves a few methods of the contract on a worker's socket
and tells back what arrived. `python -m tests.support.mesh_stand_in SERVICE WORKER STATE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
from google.api import httpbody_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from mesh import policy
from mesh.runtime import conditions, errors, rendering
from palestra.identity.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    key_service_pb2,
    key_service_pb2_grpc,
    profile_pb2,
    profile_service_pb2,
    profile_service_pb2_grpc,
)
from palestra.integration.v1 import telemetry_service_pb2, telemetry_service_pb2_grpc
from palestra.training.v1 import (
    activity_pb2,
    activity_service_pb2,
    activity_service_pb2_grpc,
    tracker_service_pb2,
    tracker_service_pb2_grpc,
)

Context = grpc.aio.ServicerContext[Any, Any]
BEAT_S = 0.05
SLOW_S = 2.0
DOWNLOAD_BYTES = 2 << 20


def seen(context: Context, worker: str) -> str:
    """What arrived beside the message, as JSON."""
    metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
    return json.dumps({"worker": worker, "remaining_s": context.time_remaining(), **metadata})


def _not_found(reason: str, domain: str) -> status_pb2.Status:
    status = status_pb2.Status(code=5, message="there is no such thing")
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    status.details.append(detail)
    return status


async def _refuse(context: Context, reason: str, domain: str) -> None:
    status = _not_found(reason, domain)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.NOT_FOUND, status.message)


BEFORE_THE_END_S = 0.02


class Identity(
    profile_service_pb2_grpc.ProfileServiceServicer,
    auth_service_pb2_grpc.AuthServiceServicer,
    key_service_pb2_grpc.KeyServiceServicer,
):
    def __init__(self, worker: str, state: Path) -> None:
        self.worker, self.state = worker, state

    async def GetProfile(
        self, request: profile_service_pb2.GetProfileRequest, context: Context
    ) -> profile_service_pb2.GetProfileResponse:
        if request.name == "users/slow":
            # As a service does: its own words come before gRPC ends the call without any.
            await asyncio.sleep(max(0.0, context.time_remaining() - BEFORE_THE_END_S))
            status, _ = errors.status_of(TimeoutError(), {})
            await errors.abort(context, status)
        if request.name == "users/missing":
            await _refuse(context, "USER_NOT_FOUND", "identity.palestra")
        told = seen(context, self.worker)
        profile = profile_pb2.Profile(name=request.name, bio=told)
        return profile_service_pb2.GetProfileResponse(profile=profile)

    async def UpdateProfile(
        self, request: profile_service_pb2.UpdateProfileRequest, context: Context
    ) -> profile_service_pb2.UpdateProfileResponse:
        return profile_service_pb2.UpdateProfileResponse(profile=request.profile)

    async def Register(
        self, request: auth_service_pb2.RegisterRequest, context: Context
    ) -> auth_service_pb2.RegisterResponse:
        return auth_service_pb2.RegisterResponse(user=f"users/{request.email}", expires_in=60)

    async def GetKeySet(
        self, request: key_service_pb2.GetKeySetRequest, context: Context
    ) -> key_service_pb2.GetKeySetResponse:
        document = json.loads((self.state / "stand-in-keys.json").read_text())
        keys = [
            key_service_pb2.VerificationKey(key_id=key_id, public_key=bytes.fromhex(value))
            for key_id, value in document.items()
        ]
        return key_service_pb2.GetKeySetResponse(keys=keys)


_ACTIVITIES = activity_service_pb2.DESCRIPTOR.services_by_name["ActivityService"]
Answer = TypeVar("Answer", bound=Message)


def _tagged(method: str, response: Answer, context: Context) -> Answer:
    """As the services' gate does it."""
    answers = conditions.answers_of(policy.method_of(_ACTIVITIES.methods_by_name[method]))
    metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
    asked = conditions.asked(metadata)
    if answers is None or asked is None:
        return response
    packed = answers.told(response, asked, context)
    envelope = rendering.envelope_of(answers.method)
    if envelope is not None:
        # The generated stubs pass on what says how it is serialised.
        return cast("Answer", httpbody_pb2.HttpBody.FromString(envelope(packed)))
    return type(response).FromString(packed)


class Training(
    activity_service_pb2_grpc.ActivityServiceServicer,
    tracker_service_pb2_grpc.TrackerServiceServicer,
):
    def __init__(self, worker: str) -> None:
        self.worker = worker

    async def GetActivity(
        self, request: activity_service_pb2.GetActivityRequest, context: Context
    ) -> activity_service_pb2.GetActivityResponse:
        if request.name.endswith("/slow"):
            await asyncio.sleep(SLOW_S)
        activity = activity_pb2.Activity(name=request.name, title=self.worker, etag="7")
        response = activity_service_pb2.GetActivityResponse(activity=activity)
        if request.name.endswith("/plain"):
            return response
        return _tagged("GetActivity", response, context)

    async def DownloadActivityStreams(
        self, request: activity_service_pb2.DownloadActivityStreamsRequest, context: Context
    ) -> httpbody_pb2.HttpBody:
        text = json.dumps({"channels": list(request.channels), "pad": "x" * DOWNLOAD_BYTES})
        body = httpbody_pb2.HttpBody(content_type="application/json", data=text.encode())
        return _tagged("DownloadActivityStreams", body, context)

    async def WatchActivity(
        self, request: activity_service_pb2.WatchActivityRequest, context: Context
    ) -> AsyncIterator[activity_service_pb2.WatchActivityResponse]:
        if request.name.endswith("/missing"):
            await _refuse(context, "ACTIVITY_NOT_FOUND", "training.palestra")
        if request.name.endswith("/failing"):
            ended = activity_service_pb2.WatchEnded(
                reason=activity_service_pb2.WATCH_END_FAILED,
                error=_not_found("ACTIVITY_NOT_FOUND", "training.palestra"),
            )
            yield activity_service_pb2.WatchActivityResponse(ended=ended)
            await _refuse(context, "ACTIVITY_NOT_FOUND", "training.palestra")
        while True:
            update = activity_service_pb2.LiveUpdate(heart_rate_bpm=140)
            yield activity_service_pb2.WatchActivityResponse(update=update)
            await asyncio.sleep(BEAT_S)

    async def IngestTelemetry(
        self,
        requests: AsyncIterator[tracker_service_pb2.IngestTelemetryRequest],
        context: Context,
    ) -> AsyncIterator[tracker_service_pb2.IngestTelemetryResponse]:
        async for request in requests:
            results = [
                tracker_service_pb2.SessionResult(session=frame.session, epoch=frame.epoch)
                for frame in request.frames
            ]
            yield tracker_service_pb2.IngestTelemetryResponse(results=results)


class Integration(telemetry_service_pb2_grpc.TelemetryServiceServicer):
    async def StreamTelemetry(
        self,
        requests: AsyncIterator[telemetry_service_pb2.StreamTelemetryRequest],
        context: Context,
    ) -> AsyncIterator[telemetry_service_pb2.StreamTelemetryResponse]:
        async for request in requests:
            pong = telemetry_service_pb2.ClockPong(device_time=request.clock_ping.device_time)
            yield telemetry_service_pb2.StreamTelemetryResponse(clock_pong=pong)


def _register(service: str, worker: str, state: Path, server: grpc.aio.Server) -> None:
    if service == "identity":
        identity = Identity(worker, state)  # type: ignore[abstract]
        profile_service_pb2_grpc.add_ProfileServiceServicer_to_server(identity, server)
        auth_service_pb2_grpc.add_AuthServiceServicer_to_server(identity, server)
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(identity, server)
    elif service == "training":
        training = Training(worker)  # type: ignore[abstract]
        activity_service_pb2_grpc.add_ActivityServiceServicer_to_server(training, server)
        tracker_service_pb2_grpc.add_TrackerServiceServicer_to_server(training, server)
    else:
        add = telemetry_service_pb2_grpc.add_TelemetryServiceServicer_to_server
        add(Integration(), server)


async def serve(service: str, worker: str, state: Path) -> None:
    """Serves until SIGTERM; then says NOT_SERVING, waits a second and ends."""
    server = grpc.aio.server()
    _register(service, worker, state, server)
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    socket = state / "run" / f"{service}-{worker}.sock"
    with contextlib.suppress(FileNotFoundError):
        socket.unlink()
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await servicer.enter_graceful_shutdown()
    await asyncio.sleep(1)
    await server.stop(1)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
