"""The façade: what a person can do, as methods.

Owns the channel's life. Decides nothing that the contract or the modules behind
it decide: deadlines, repeats, renewal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar

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
from palestra_client._account import Recovery, Sessions
from palestra_client._calls import Caller
from palestra_client._channel import open_channel
from palestra_client._contract import rule_of
from palestra_client._devices import Devices
from palestra_client._errors import StepUpNeeded, Unauthenticated, error_of
from palestra_client._login import Login, Sign
from palestra_client._methods import method_of
from palestra_client._progress import progress_request
from palestra_client._proofs import Proof, Prove, SecondFactorNeeded
from palestra_client._signin import SignIn
from palestra_client._step_up import StepUp
from palestra_client._streams import Streams, streams_of
from palestra_client._tokens import MemoryTokenStore, Tokens, TokenStore
from palestra_client._watch import Watch

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_AUTH = auth_service_pb2.DESCRIPTOR
_PROFILES = profile_service_pb2.DESCRIPTOR
_ACTIVITIES = activity_service_pb2.DESCRIPTOR
_PROGRESS = progress_service_pb2.DESCRIPTOR
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
PAGE = 100
"""The activities that are fetched at once."""


class Palestra:
    """Palestra for one person. Use it as an async context manager."""

    def __init__(
        self,
        target: str,
        *,
        store: TokenStore | None = None,
        prove: Prove | None = None,
        tls: bool | None = None,
        ca: bytes | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: the edge, `host:port` or `unix:path`.
            store: where the sign-in is kept; in memory where absent.
            prove: asks the person, where a second factor or a confirmation is needed.
            tls: None means TLS unless the target is this machine, or where a `ca` is given.
            ca: who vouches for the server, as PEM; the usual authorities where absent.
        """
        self._target = target
        self._tls = tls
        self._ca = ca
        self._opened: grpc.aio.Channel | None = None
        self._signin = SignIn(store or MemoryTokenStore(), self._refresh)
        self._prove = prove
        self._confirming: StepUp | None = None
        self._caller = Caller(self._signin, self._confirmed)

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
            self._opened = self._confirming = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The connection, for generated stubs that the façade does not cover."""
        if self._opened is None:
            self._opened = open_channel(self._target, tls=self._tls, ca=self._ca)
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

    async def register(
        self, address: str, password: str, display_name: str, language: str = "", country: str = ""
    ) -> str:
        """Makes an account and signs it in; answers with `users/{user}`.

        Args:
            address: an e-mail address, or a phone number (`+79123456789`).
            password: at least 10 characters.
            display_name: what other people see.
            language: of the letters, BCP 47.
            country: where the person lives, ISO 3166-1 alpha-2.

        Raises:
            SecondFactorNeeded: there is such an account, with a second factor.
        """
        return await self._login.register(address, password, display_name, language, country)

    async def login(self, address: str, password: str) -> str:
        """Signs in by e-mail address or phone number; answers with `users/{user}`.

        Raises:
            SecondFactorNeeded: and nobody can be asked: see `complete_login`.
            Unauthenticated: CREDENTIALS_WRONG.
            ResourceExhausted: SIGN_IN_THROTTLED; see `retry_after_s`.
        """
        return await self._login.login(address, password)

    async def complete_login(self, needed: SecondFactorNeeded, proof: Proof) -> str:
        """The second step of a sign-in; answers with `users/{user}`.

        Raises:
            PalestraError: SECOND_FACTOR_WRONG (try again, five times at most),
                SECOND_FACTOR_THROTTLED, SIGN_IN_TICKET_INVALID (begin anew).
        """
        return await self._login.complete(needed, proof)

    async def login_by_passkey(self, sign: Sign) -> str:
        """Signs in by a passkey alone; `sign` has it answer to options, both JSON text."""
        return await self._login.by_passkey(sign)

    async def confirm(self) -> None:
        """Confirms now that it is the same person, before something that asks for it.

        Raises:
            StepUpNeeded: nobody can be asked.
        """
        if self._step_up is None:
            raise StepUpNeeded(
                "Nobody can be asked.",
                code=grpc.StatusCode.UNAUTHENTICATED,
                reason="SIGN_IN_TOO_OLD",
                domain="mesh.palestra",
            )
        await self._step_up.confirm()

    async def logout(self) -> None:
        """Ends the session here and on the server; here in any case."""
        await self._login.logout()

    async def change_password(self, new_password: str, current_password: str = "") -> None:
        """Changes the password; signs out everywhere else.

        Without the current one only within 5 minutes of a sign-in, or of `confirm`.
        """
        request = auth_service_pb2.ChangePasswordRequest(
            name=self.user, current_password=current_password, new_password=new_password
        )
        rule = rule_of(_AUTH, "AuthService", "ChangePassword")
        stub = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        await self._caller.unary(stub.ChangePassword, request, rule)

    @property
    def recovery(self) -> Recovery:
        """Ways back into an account."""
        return Recovery(self.channel, self._caller)

    @property
    def sessions(self) -> Sessions:
        """Where one is signed in."""
        return Sessions(self.channel, self._caller, self._signin, self.user)

    async def call(self, method: str, request: Mapping[str, Any] | Message = _NOTHING) -> Message:
        """Calls any method by its name, as `AuthService.Login`; `users/me` is the caller.

        Raises:
            LookupError: there is no such method, or several.
            ValueError: the request is none of its, or it is a stream.
        """
        found = method_of(method)
        if found.server_streaming or found.client_streaming:
            raise ValueError(f"{found.name} is a stream")
        unary = self.channel.unary_unary(found.rule.path, _bytes, found.answer)
        return await self._caller.unary(unary, found.request(request), found.rule)

    async def stream(
        self, method: str, request: Mapping[str, Any] | Message = _NOTHING
    ) -> AsyncIterator[Message]:
        """The answers of a server's stream, until it ends; it is not opened again.

        Raises:
            LookupError, ValueError: as `call`.
        """
        found = method_of(method)
        if found.client_streaming or not found.server_streaming:
            raise ValueError(f"{found.name} is no stream of answers alone")
        token = "" if found.rule.public else await self._signin.access_token()
        opened = self.channel.unary_stream(found.rule.path, _bytes, found.answer)
        try:
            async for answer in opened(
                found.request(request), metadata=self._caller.metadata(token)
            ):
                yield answer
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error

    async def profile(self) -> profile_pb2.Profile:
        """The profile of who is signed in."""
        stub = profile_service_pb2_grpc.ProfileServiceStub(self.channel)
        request = profile_service_pb2.GetProfileRequest(name=self.user)
        rule = rule_of(_PROFILES, "ProfileService", "GetProfile")
        return (await self._caller.unary(stub.GetProfile, request, rule)).profile

    async def set_avatar(self, picture: Path) -> profile_pb2.Profile:
        """Sends a picture, across cuts, and makes it the avatar."""
        # Its library is loaded by those who send.
        from palestra_client._files import upload

        stub = profile_service_pb2_grpc.ProfileServiceStub(self.channel)
        asked = profile_service_pb2.CreateAvatarUploadRequest(
            parent=self.user, size_bytes=picture.stat().st_size
        )
        rule = rule_of(_PROFILES, "ProfileService", "CreateAvatarUpload")
        grant = await self._caller.unary(stub.CreateAvatarUpload, asked, rule)
        await upload(grant.upload_uri, picture, ca=self._ca)
        request = profile_service_pb2.SetAvatarRequest(name=self.user, upload_id=grant.upload_id)
        rule = rule_of(_PROFILES, "ProfileService", "SetAvatar")
        return (await self._caller.unary(stub.SetAvatar, request, rule)).profile

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
        return Watch(self._activities.WatchActivity, name, self._signin, self._caller).updates()

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
    def _login(self) -> Login:
        return Login(self.channel, self._caller, self._signin, self._prove)

    @property
    def _activities(self) -> activity_service_pb2_grpc.ActivityServiceAsyncStub:
        return activity_service_pb2_grpc.ActivityServiceStub(self.channel)

    async def _refresh(self, refresh_token: str) -> Tokens:
        return await self._login.refresh(refresh_token)

    @property
    def _step_up(self) -> StepUp | None:
        if self._prove is None:
            return None
        if self._confirming is None:
            self._confirming = StepUp(self.channel, self._caller, self._signin, self._prove)
        return self._confirming

    async def _confirmed(self, stale: str) -> bool:
        step_up = self._step_up
        if step_up is None:
            return False
        await step_up.fresher_than(stale)
        return True


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
