"""The other services, as far as `palestra_client` calls them, for its tests.

Speaks the real contract over a real socket: sign-in with single-use refresh
tokens that end the session when they are used twice, activities in pages, a
watch that can be cut, devices by request id. Fails on request, and counts.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.api import httpbody_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from palestra.identity.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    factor_pb2,
    profile_pb2,
    profile_service_pb2,
    profile_service_pb2_grpc,
)
from palestra.integration.v1 import device_service_pb2, device_service_pb2_grpc
from palestra.training.v1 import (
    activity_pb2,
    activity_service_pb2,
    activity_service_pb2_grpc,
    progress_service_pb2,
    progress_service_pb2_grpc,
)

USER = "users/11111111-2222-8333-8444-555555555555"


@dataclass
class Community:
    """What the services have, and what they were asked."""

    token_life_s: int = 900
    page: int = 2
    activities: int = 5
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[Any] = field(default_factory=list)
    timeouts_s: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """Each makes one call fail, the first one first."""
    valid: set[str] = field(default_factory=set)
    refresh: str = ""
    watch_ends: list[int] = field(default_factory=lambda: [1])
    devices: dict[str, device_service_pb2.Device] = field(default_factory=dict)
    slow_refresh_s: float = 0.0
    factors: tuple[factor_pb2.FactorKind.ValueType, ...] = ()
    """What the second step of a sign-in asks for; none is asked for where it is empty."""
    asks_fresh: frozenset[str] = frozenset()
    """Methods that take a token of `fresh` only."""
    fresh: set[str] = field(default_factory=set)
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Of each call: its name, and what came along."""
    _issued: int = 0

    def issue(self) -> tuple[str, str]:
        """A new pair; the refresh token before it is used up."""
        self._issued += 1
        access, self.refresh = f"access-{self._issued}", f"refresh-{self._issued}"
        self.valid = {access}
        return access, self.refresh


@dataclass(frozen=True)
class Failure:
    """How one call fails."""

    code: grpc.StatusCode
    reason: str
    retry_after_s: float | None = None
    fields: tuple[str, ...] = ()
    as_json: bool = False
    """As the edge says it itself: details as JSON in the message."""


async def fail(context: Any, failure: Failure, domain: str = "mesh.palestra") -> None:
    """Ends the call with the failure, as it travels."""
    if failure.as_json:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        detail = {"@type": kind, "reason": failure.reason, "domain": domain}
        told = {"code": failure.code.value[0], "message": "From the edge.", "details": [detail]}
        await context.abort(failure.code, json.dumps(told))
    status = status_pb2.Status(code=failure.code.value[0], message=f"It is {failure.reason}.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=failure.reason, domain=domain))
    if failure.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(failure.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if failure.fields:
        bad = error_details_pb2.BadRequest()
        for name in failure.fields:
            bad.field_violations.add(field=name, description="is wrong")
        status.details.add().Pack(bad)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(failure.code, status.message)


class Desk:
    """What every servicer here does first."""

    def __init__(self, community: Community) -> None:
        self.community = community

    async def enter(self, name: str, request: Any, context: Any, signed_in: bool = True) -> None:
        """Counts the call, checks the token, fails where that was asked for."""
        community = self.community
        community.calls[name] += 1
        community.requests.append(request)
        community.timeouts_s.append(context.time_remaining() or 0.0)
        metadata = dict(context.invocation_metadata())
        community.metadata.append((name, {key: str(value) for key, value in metadata.items()}))
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        if signed_in and token not in community.valid:
            reason = "TOKEN_EXPIRED" if token else "TOKEN_MISSING"
            await fail(context, Failure(grpc.StatusCode.UNAUTHENTICATED, reason))
        if name in community.asks_fresh and token not in community.fresh:
            await fail(context, Failure(grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_TOO_OLD"))
        if community.failures:
            await fail(context, community.failures.pop(0))


class _Auth(Desk, auth_service_pb2_grpc.AuthServiceServicer):
    """Sign-in; what nobody asks of it here it has not."""

    async def Register(self, request: Any, context: Any) -> Any:
        await self.enter("Register", request, context, signed_in=False)
        return self._pair(auth_service_pb2.RegisterResponse(user=USER))

    async def Login(self, request: Any, context: Any) -> Any:
        await self.enter("Login", request, context, signed_in=False)
        if self.community.factors:
            asked = factor_pb2.SecondFactorNeeded(
                ticket="ticket", factors=self.community.factors, passkey_options="{}"
            )
            return auth_service_pb2.LoginResponse(user=USER, second_factor=asked)
        return self._pair(auth_service_pb2.LoginResponse(user=USER, device_token="a-device"))

    async def RefreshToken(self, request: Any, context: Any) -> Any:
        await self.enter("RefreshToken", request, context, signed_in=False)
        await asyncio.sleep(self.community.slow_refresh_s)
        if request.refresh_token != self.community.refresh:
            self.community.valid.clear()
            self.community.refresh = ""
            reused = Failure(grpc.StatusCode.UNAUTHENTICATED, "REFRESH_TOKEN_REUSED")
            await fail(context, reused, "identity.palestra")
        return self._pair(auth_service_pb2.RefreshTokenResponse())

    async def Logout(self, request: Any, context: Any) -> Any:
        await self.enter("Logout", request, context, signed_in=False)
        self.community.valid.clear()
        return auth_service_pb2.LogoutResponse()

    def _pair(self, response: Any) -> Any:
        response.access_token, response.refresh_token = self.community.issue()
        response.expires_in = self.community.token_life_s
        return response


class _Profiles(Desk, profile_service_pb2_grpc.ProfileServiceServicer):
    async def GetProfile(self, request: Any, context: Any) -> Any:
        await self.enter("GetProfile", request, context)
        profile = profile_pb2.Profile(name=request.name, display_name="Ada")
        return profile_service_pb2.GetProfileResponse(profile=profile)

    async def UpdateProfile(self, request: Any, context: Any) -> Any:
        await self.enter("UpdateProfile", request, context)
        return profile_service_pb2.UpdateProfileResponse(profile=request.profile)

    async def BatchGetCards(self, request: Any, context: Any) -> Any:
        await self.enter("BatchGetCards", request, context)
        return profile_service_pb2.BatchGetCardsResponse()

    async def GetAthleteFacts(self, request: Any, context: Any) -> Any:
        await self.enter("GetAthleteFacts", request, context)
        return profile_service_pb2.GetAthleteFactsResponse()

    async def CreateAvatarUpload(self, request: Any, context: Any) -> Any:
        await self.enter("CreateAvatarUpload", request, context)
        return profile_service_pb2.CreateAvatarUploadResponse(upload_id="a")

    async def SetAvatar(self, request: Any, context: Any) -> Any:
        await self.enter("SetAvatar", request, context)
        return profile_service_pb2.SetAvatarResponse()

    async def DeleteAvatar(self, request: Any, context: Any) -> Any:
        await self.enter("DeleteAvatar", request, context)
        return profile_service_pb2.DeleteAvatarResponse()


class _Activities(Desk, activity_service_pb2_grpc.ActivityServiceServicer):
    async def UpdateActivity(self, request: Any, context: Any) -> Any:
        await self.enter("UpdateActivity", request, context)
        return activity_service_pb2.UpdateActivityResponse(activity=request.activity)

    async def DeleteActivity(self, request: Any, context: Any) -> Any:
        await self.enter("DeleteActivity", request, context)
        return activity_service_pb2.DeleteActivityResponse()

    async def DownloadActivityStreams(self, request: Any, context: Any) -> Any:
        await self.enter("DownloadActivityStreams", request, context)
        return httpbody_pb2.HttpBody(content_type="application/json", data=b"{}")

    async def ListActivities(self, request: Any, context: Any) -> Any:
        await self.enter("ListActivities", request, context)
        first = int(request.page_token or 0)
        last = min(first + self.community.page, self.community.activities)
        response = activity_service_pb2.ListActivitiesResponse()
        for number in range(first, last):
            response.activities.add(name=f"{USER}/activities/{number}")
        response.next_page_token = str(last) if last < self.community.activities else ""
        return response

    async def GetActivity(self, request: Any, context: Any) -> Any:
        await self.enter("GetActivity", request, context)
        activity = activity_pb2.Activity(name=request.name)
        return activity_service_pb2.GetActivityResponse(activity=activity)

    async def GetActivityStreams(self, request: Any, context: Any) -> Any:
        await self.enter("GetActivityStreams", request, context)
        response = activity_service_pb2.GetActivityStreamsResponse(
            start_time_ms=1_000, time_ms=np.array([0, 1_000, 2_000], dtype="<i8").tobytes()
        )
        short = "SHORT" in request.channels
        values = np.array([60.0, np.nan, 62.5][: 2 if short else 3], dtype="<f8").tobytes()
        response.columns.add(channel="HEART_RATE", unit="bpm", values=values)
        return response

    async def WatchActivity(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self.enter("WatchActivity", request, context)
        number = self.community.calls["WatchActivity"]
        yield activity_service_pb2.WatchActivityResponse(heartbeat=activity_service_pb2.Heartbeat())
        update = activity_service_pb2.LiveUpdate(elapsed_s=number)
        yield activity_service_pb2.WatchActivityResponse(update=update)
        ended: Any = self.community.watch_ends.pop(0)
        if ended == 0:
            await fail(context, Failure(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"))
        end = activity_service_pb2.WatchEnded(reason=ended)
        yield activity_service_pb2.WatchActivityResponse(ended=end)


class _Devices(Desk, device_service_pb2_grpc.DeviceServiceServicer):
    async def RegisterDevice(self, request: Any, context: Any) -> Any:
        await self.enter("RegisterDevice", request, context)
        device = device_service_pb2.Device()
        device.CopyFrom(request.device)
        device.name = f"{USER}/devices/{request.request_id}"
        self.community.devices.setdefault(request.request_id, device)
        return device_service_pb2.RegisterDeviceResponse(
            device=self.community.devices[request.request_id]
        )

    async def ListDevices(self, request: Any, context: Any) -> Any:
        await self.enter("ListDevices", request, context)
        return device_service_pb2.ListDevicesResponse(devices=self.community.devices.values())

    async def DeleteDevice(self, request: Any, context: Any) -> Any:
        await self.enter("DeleteDevice", request, context)
        self.community.devices.pop(request.name.rpartition("/")[2], None)
        return device_service_pb2.DeleteDeviceResponse()


class _Progress(Desk, progress_service_pb2_grpc.ProgressServiceServicer):
    async def GetProgress(self, request: Any, context: Any) -> Any:
        await self.enter("GetProgress", request, context)
        progress = progress_service_pb2.Progress(name=request.name, period=request.period)
        return progress_service_pb2.GetProgressResponse(progress=progress)


def _auth(community: Community) -> _Auth:
    return _Auth(community)  # type: ignore[abstract]


@asynccontextmanager
async def community_server(
    community: Community, *more: Callable[[Community, grpc.aio.Server], None]
) -> AsyncIterator[str]:
    """Serves until the block ends; answers with the target. `more` adds servicers."""
    server = grpc.aio.server()
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(_auth(community), server)
    profile_service_pb2_grpc.add_ProfileServiceServicer_to_server(_Profiles(community), server)
    activity_service_pb2_grpc.add_ActivityServiceServicer_to_server(_Activities(community), server)
    device_service_pb2_grpc.add_DeviceServiceServicer_to_server(_Devices(community), server)
    progress_service_pb2_grpc.add_ProgressServiceServicer_to_server(_Progress(community), server)
    for add in more:
        add(community, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
