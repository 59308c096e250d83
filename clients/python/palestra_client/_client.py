"""The façade: what a person can do, as methods.

Owns the channel's life. Decides nothing that the contract or the modules behind
it decide: deadlines, repeats, renewal.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from palestra.identity.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    profile_pb2,
    profile_service_pb2,
    profile_service_pb2_grpc,
)
from palestra.integration.v1 import device_service_pb2_grpc
from palestra.training.v1 import (
    activity_pb2,
    activity_service_pb2,
    activity_service_pb2_grpc,
    progress_service_pb2,
    progress_service_pb2_grpc,
)
from palestra_client._calls import Caller
from palestra_client._channel import open_channel
from palestra_client._contract import rule_of
from palestra_client._devices import Devices
from palestra_client._errors import Unauthenticated
from palestra_client._progress import progress_request
from palestra_client._signin import SignIn
from palestra_client._streams import Streams, streams_of
from palestra_client._tokens import MemoryTokenStore, Tokens, TokenStore
from palestra_client._watch import Watch

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_AUTH = auth_service_pb2.DESCRIPTOR
_PROFILES = profile_service_pb2.DESCRIPTOR
_ACTIVITIES = activity_service_pb2.DESCRIPTOR
_PROGRESS = progress_service_pb2.DESCRIPTOR
PAGE = 100
"""The activities that are fetched at once."""


class Palestra:
    """Palestra for one person. Use it as an async context manager."""

    def __init__(
        self, target: str, *, store: TokenStore | None = None, tls: bool | None = None
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: the edge, `host:port` or `unix:path`.
            store: where the sign-in is kept; in memory where absent.
            tls: None means TLS unless the target is this machine.
        """
        self._target = target
        self._tls = tls
        self._opened: grpc.aio.Channel | None = None
        self._signin = SignIn(store or MemoryTokenStore(), self._refresh)
        self._caller = Caller(self._signin)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; the sign-in stays in the store."""
        if self._opened is not None:
            await self._opened.close(None)
            self._opened = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The connection, for generated stubs that the façade does not cover."""
        if self._opened is None:
            self._opened = open_channel(self._target, tls=self._tls)
        return self._opened

    @property
    def signin(self) -> SignIn:
        """The sign-in, renewed as it is used."""
        return self._signin

    @property
    def user(self) -> str:
        """`users/{user}` of who is signed in.

        Raises:
            Unauthenticated: nobody is.
        """
        user = self._signin.user
        if not user:
            raise Unauthenticated("Sign in first.", code=grpc.StatusCode.UNAUTHENTICATED)
        return user

    async def register(self, email: str, password: str, display_name: str) -> str:
        """Makes an account and signs it in; answers with `users/{user}`."""
        request = auth_service_pb2.RegisterRequest(
            email=email, password=password, display_name=display_name
        )
        rule = rule_of(_AUTH, "AuthService", "Register")
        response = await self._caller.unary(self._auth.Register, request, rule)
        self._signin.begin(_tokens(response, response.user))
        return response.user

    async def login(self, email: str, password: str) -> str:
        """Signs in; answers with `users/{user}`."""
        request = auth_service_pb2.LoginRequest(email=email, password=password)
        rule = rule_of(_AUTH, "AuthService", "Login")
        response = await self._caller.unary(self._auth.Login, request, rule)
        self._signin.begin(_tokens(response, response.user))
        return response.user

    async def logout(self) -> None:
        """Ends the session here and on the server; here in any case."""
        tokens = self._signin.end()
        if tokens is None or not tokens.refresh_token:
            return
        request = auth_service_pb2.LogoutRequest(refresh_token=tokens.refresh_token)
        rule = rule_of(_AUTH, "AuthService", "Logout")
        await self._caller.unary(self._auth.Logout, request, rule)

    async def profile(self) -> profile_pb2.Profile:
        """The profile of who is signed in."""
        stub = profile_service_pb2_grpc.ProfileServiceStub(self.channel)
        request = profile_service_pb2.GetProfileRequest(name=self.user)
        rule = rule_of(_PROFILES, "ProfileService", "GetProfile")
        return (await self._caller.unary(stub.GetProfile, request, rule)).profile

    async def activities(
        self,
        *,
        filter: str = "",  # noqa: A002 - the contract's own word
        order_by: str = "",
        fields: Iterable[str] = (),
    ) -> AsyncIterator[activity_pb2.Activity]:
        """The activities, fetched page by page as they are taken.

        Args:
            filter: AIP-160, e.g. `sport = SPORT_RUNNING`.
            order_by: `start_time` or `start_time desc` (the default).
            fields: those to answer with; all where empty.
        """
        rule = rule_of(_ACTIVITIES, "ActivityService", "ListActivities")
        request = activity_service_pb2.ListActivitiesRequest(
            parent=self.user, page_size=PAGE, filter=filter, order_by=order_by
        )
        if paths := list(fields):
            request.read_mask.CopyFrom(FieldMask(paths=paths))
        while True:
            page = await self._caller.unary(self._activities.ListActivities, request, rule)
            for activity in page.activities:
                yield activity
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def activity(self, name: str) -> activity_pb2.Activity:
        """The activity `users/{user}/activities/{activity}`."""
        request = activity_service_pb2.GetActivityRequest(name=name)
        rule = rule_of(_ACTIVITIES, "ActivityService", "GetActivity")
        return (await self._caller.unary(self._activities.GetActivity, request, rule)).activity

    async def streams(
        self, name: str, channels: Iterable[str] = (), resolution: int | None = None
    ) -> Streams:
        """The samples of an activity.

        Args:
            name: `users/{user}/activities/{activity}`.
            channels: their names; all where empty.
            resolution: at most so many points; 0 for all, the server's choice where None.
        """
        request = activity_service_pb2.GetActivityStreamsRequest(
            name=name, channels=list(channels), resolution=resolution
        )
        rule = rule_of(_ACTIVITIES, "ActivityService", "GetActivityStreams")
        return streams_of(
            await self._caller.unary(self._activities.GetActivityStreams, request, rule)
        )

    def watch(self, name: str) -> AsyncIterator[activity_service_pb2.LiveUpdate]:
        """The live updates of an activity, across cuts, until it is finished."""
        return Watch(self._activities.WatchActivity, name, self._signin).updates()

    async def progress(
        self,
        period: str = "week",
        start: str = "",
        end: str = "",
        sports: Iterable[str] = (),
    ) -> progress_service_pb2.Progress:
        """Totals by period and sport.

        Args:
            period: `day`, `week`, `month` or `year`.
            start: the first day, `2026-01-31`; a year before `end` where empty.
            end: the last day, included; today where empty.
            sports: e.g. `running`; all where empty.

        Raises:
            ValueError: no such period or sport, or no date.
        """
        stub = progress_service_pb2_grpc.ProgressServiceStub(self.channel)
        request = progress_request(f"{self.user}/progress", period, start, end, sports)
        rule = rule_of(_PROGRESS, "ProgressService", "GetProgress")
        return (await self._caller.unary(stub.GetProgress, request, rule)).progress

    @property
    def devices(self) -> Devices:
        """The watches and sensors of who is signed in."""
        stub = device_service_pb2_grpc.DeviceServiceStub(self.channel)
        return Devices(stub, self._caller, self.user)

    @property
    def _auth(self) -> auth_service_pb2_grpc.AuthServiceAsyncStub:
        return auth_service_pb2_grpc.AuthServiceStub(self.channel)

    @property
    def _activities(self) -> activity_service_pb2_grpc.ActivityServiceAsyncStub:
        return activity_service_pb2_grpc.ActivityServiceStub(self.channel)

    async def _refresh(self, refresh_token: str) -> Tokens:
        request = auth_service_pb2.RefreshTokenRequest(refresh_token=refresh_token)
        rule = rule_of(_AUTH, "AuthService", "RefreshToken")
        response = await self._caller.unary(self._auth.RefreshToken, request, rule)
        return _tokens(response, "")


def _tokens(
    response: auth_service_pb2.RegisterResponse
    | auth_service_pb2.LoginResponse
    | auth_service_pb2.RefreshTokenResponse,
    user: str,
) -> Tokens:
    expires_at_s = time.time() + response.expires_in
    return Tokens(user, response.access_token, response.refresh_token, expires_at_s)
