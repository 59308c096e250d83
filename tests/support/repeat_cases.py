"""How each state-changing method is called for a test of its repeats: one case a method.

A case prepares what one athlete needs and gives the call, which can then be made any number
of times, at once or later. It answers with what came back, without its secrets.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import grpc
import httpx
from google.protobuf import message_factory
from google.protobuf.message import Message

from mesh import catalog
from mesh.runtime import writing
from mesh.runtime.subjects import rpc as data_subject_rpc
from palestra.identity.v1 import address_service_pb2 as address
from palestra.identity.v1 import app_service_pb2 as apps
from palestra.identity.v1 import auth_service_pb2 as auth
from palestra.identity.v1 import client_pb2 as clients
from palestra.identity.v1 import consent_service_pb2 as consent
from palestra.identity.v1 import erasure_service_pb2 as erasures
from palestra.identity.v1 import export_service_pb2 as exports
from palestra.identity.v1 import factor_pb2 as factors
from palestra.identity.v1 import goal_service_pb2 as goals
from palestra.identity.v1 import grant_service_pb2 as grants
from palestra.identity.v1 import oauth_service_pb2 as oauth
from palestra.identity.v1 import person_key_service_pb2 as person_keys
from palestra.identity.v1 import privacy_zone_service_pb2 as zones
from palestra.identity.v1 import profile_pb2 as profiles
from palestra.identity.v1 import profile_service_pb2 as profile
from palestra.identity.v1 import relation_service_pb2 as relation
from palestra.identity.v1 import service_account_service_pb2 as accounts
from palestra.identity.v1 import session_service_pb2 as session
from palestra.identity.v1 import settings_pb2
from palestra.identity.v1 import settings_service_pb2 as settings
from palestra.identity.v1 import sso_service_pb2 as sso
from palestra.integration.v1 import device_service_pb2 as device
from palestra.integration.v1 import telemetry_service_pb2 as telemetry
from palestra.integration.v1.telemetry_service_pb2_grpc import TelemetryServiceStub
from palestra.training.v1 import activity_service_pb2 as activity
from palestra.training.v1 import tracker_service_pb2 as tracker
from palestra.training.v1.tracker_service_pb2_grpc import TrackerServiceStub
from services.identity.consents.rules import Purpose
from tests.support import (
    administrators,
    consents,
    factor_cases,
    fake_device,
    made_pictures,
    mailbox,
    mesh_calls,
    role_cases,
    shops,
)
from tests.support.athletes import Athlete
from tests.support.authenticator import Authenticator

LIMIT_S = 20.0
AS_TRAINING = "as training"
BATCHES = 5
Call = Callable[[], Awaitable[str]]
"""Gives what came back: `OK …`, or `CODE/REASON` of a refusal."""
Answer = TypeVar("Answer", bound=Message)


@dataclass(slots=True)
class Stage:
    """Where a case plays: an athlete, the ways into the mesh, and the secrets that appear."""

    athlete: Athlete
    edge: grpc.aio.Channel
    tracker: grpc.aio.Channel
    """To training, as integration."""
    orders: Mapping[str, grpc.aio.Channel]
    """To each service, as identity; `AS_TRAINING` to identity, as training."""
    itself: grpc.aio.Channel
    """To identity, as the edge's own processes."""
    secrets: set[str] = field(default_factory=set)

    async def ask(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        """One call through the edge, with the athlete's token."""
        ask = self.edge.unary_unary(path, None, answer.FromString)
        found: Answer = await ask(
            request.SerializeToString(), metadata=self.athlete.metadata, timeout=LIMIT_S
        )
        return found


@dataclass(frozen=True, slots=True)
class Case:
    """A method and the call that is repeated."""

    prepare: Callable[[Stage], Awaitable[Call]]
    other_body: Callable[[Stage], Awaitable[Call]] | None = None
    """The call with the same id and another content, where the method knows ids."""
    may_refuse: frozenset[str] = frozenset()
    """What twins at the same instant may be told instead."""
    for_each: frozenset[str] = frozenset()
    """The tables in which each call leaves a row of its own, by the method's own rule."""
    erases: bool = False
    """Whether nothing that names the athlete is left of him."""


def _unary(path: str, request: Callable[[Stage], Message], answer: type[Message]) -> Any:
    """A call that is one request, made once and then sent again and again."""

    async def prepare(stage: Stage) -> Call:
        made = request(stage)

        async def call() -> str:
            found = await stage.ask(path, made, answer)
            for descriptor, value in found.ListFields():
                if descriptor.name.endswith(("_token", "_secret")):
                    stage.secrets.add(value)
                    found.ClearField(descriptor.name)
            return f"OK {found}"

        return _told(call)

    return prepare


def _told(call: Call) -> Call:
    async def told() -> str:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            return mesh_calls.refusal(error)

    return told


def _register(stage: Stage) -> auth.RegisterRequest:
    return auth.RegisterRequest(
        email=stage.athlete.email, password=stage.athlete.password, display_name="Vera"
    )


def _login(stage: Stage) -> auth.LoginRequest:
    return auth.LoginRequest(email=stage.athlete.email, password=stage.athlete.password)


def _refresh(stage: Stage) -> auth.RefreshTokenRequest:
    return auth.RefreshTokenRequest(refresh_token=stage.athlete.refresh_token)


def _logout(stage: Stage) -> auth.LogoutRequest:
    return auth.LogoutRequest(refresh_token=stage.athlete.refresh_token)


def _profile(stage: Stage) -> profile.UpdateProfileRequest:
    changed = profiles.Profile(name=stage.athlete.user, bio="Runs at night.")
    changed.etag = stage.athlete.get("users/me")["profile"]["etag"]
    return profile.UpdateProfileRequest(profile=changed)


def _device(name: str) -> Callable[[Stage], device.RegisterDeviceRequest]:
    def request(stage: Stage) -> device.RegisterDeviceRequest:
        described = device.Device(display_name=name, kind=device.DEVICE_KIND_WATCH)
        return device.RegisterDeviceRequest(
            parent=stage.athlete.user, request_id="the-same", device=described
        )

    return request


_REGISTER_DEVICE = "/palestra.integration.v1.DeviceService/RegisterDevice"


async def _delete_device(stage: Stage) -> Call:
    made = await stage.ask(_REGISTER_DEVICE, _device("Watch")(stage), device.RegisterDeviceResponse)
    prepare = _unary(
        "/palestra.integration.v1.DeviceService/DeleteDevice",
        lambda _: device.DeleteDeviceRequest(name=made.device.name),
        device.DeleteDeviceResponse,
    )
    call: Call = await prepare(stage)
    return call


async def _say(stream: Any, message: Message) -> None:
    """Where the call has ended meanwhile, reading on says why."""
    with suppress(asyncio.InvalidStateError):
        await writing.write(stream, message.SerializeToString())


async def _stream(stage: Stage) -> Call:
    """A whole session on one stream, always the same opening of it."""
    session = str(uuid.uuid4())
    batches = [fake_device.batch(seq) for seq in range(1, BATCHES + 1)]

    async def call() -> str:
        stub = TelemetryServiceStub(stage.edge)
        stream = stub.StreamTelemetry(None, metadata=stage.athlete.metadata, timeout=LIMIT_S)
        await _say(stream, fake_device.opening(session, 1))
        async for answer in stream:
            if answer.HasField("accepted"):
                # What others have sent meanwhile comes again all the same.
                for each in batches[answer.accepted.resume_from_seq - 1 :]:
                    await _say(stream, telemetry.StreamTelemetryRequest(batch=each))
                close = telemetry.Close(last_seq=BATCHES)
                await _say(stream, telemetry.StreamTelemetryRequest(close=close))
            if answer.HasField("closed"):
                return f"OK {answer.closed}"
            if answer.HasField("reject"):
                return f"REJECT/{answer.reject.reason}"
        return "ended"

    return _told(call)


async def _ingest(stage: Stage) -> Call:
    """The same, as integration tells it to training."""
    name = f"{stage.athlete.user}/sessions/{uuid.uuid4()}"
    batches = [fake_device.batch(seq) for seq in range(1, BATCHES + 1)]
    frames = [
        tracker.SessionFrame(session=name, epoch=1, open=fake_device.DESCRIPTION),
        *(tracker.SessionFrame(session=name, epoch=1, batch=each) for each in batches),
        tracker.SessionFrame(session=name, epoch=1, close=tracker.SessionClose(last_seq=BATCHES)),
    ]

    async def call() -> str:
        stream = TrackerServiceStub(stage.tracker).IngestTelemetry(None, timeout=LIMIT_S)
        await _say(stream, tracker.IngestTelemetryRequest(frames=frames))
        async for answer in stream:
            for result in answer.results:
                if result.HasField("finished"):
                    return f"OK {result.finished}"
                if result.HasField("reject"):
                    return f"REJECT/{result.reject.reason}"
        return "ended"

    return _told(call)


async def _recorded(stage: Stage) -> str:
    call = await _stream(stage)
    answer = await call()
    assert answer.startswith("OK"), answer
    found: str = stage.athlete.get(f"{stage.athlete.user}/activities")["activities"][0]["name"]
    return found


async def _update_activity(stage: Stage) -> Call:
    name = await _recorded(stage)
    etag = stage.athlete.get(name)["activity"]["etag"]
    changed = activity.UpdateActivityRequest()
    changed.activity.name, changed.activity.title, changed.activity.etag = name, "At night", etag
    call: Call = await _unary(
        "/palestra.training.v1.ActivityService/UpdateActivity",
        lambda _: changed,
        activity.UpdateActivityResponse,
    )(stage)
    return call


async def _delete_activity(stage: Stage) -> Call:
    name = await _recorded(stage)
    call: Call = await _unary(
        "/palestra.training.v1.ActivityService/DeleteActivity",
        lambda _: activity.DeleteActivityRequest(name=name),
        activity.DeleteActivityResponse,
    )(stage)
    return call


_PROFILES = "/palestra.identity.v1.ProfileService/"


async def _grant(stage: Stage) -> Call:
    """Each call's link is its own; that it is given is the answer."""
    request = profile.CreateAvatarUploadRequest(parent=stage.athlete.user)

    async def call() -> str:
        path = f"{_PROFILES}CreateAvatarUpload"
        found = await stage.ask(path, request, profile.CreateAvatarUploadResponse)
        signature = found.upload_uri.partition("signature=")[2].partition("&")[0]
        stage.secrets.add(signature)
        return f"OK {found.max_bytes} {found.content_types}"

    return _told(call)


async def _sent(stage: Stage) -> str:
    """The id of a picture that was sent."""
    request = profile.CreateAvatarUploadRequest(parent=stage.athlete.user)
    path = f"{_PROFILES}CreateAvatarUpload"
    grant = await stage.ask(path, request, profile.CreateAvatarUploadResponse)
    async with httpx.AsyncClient(timeout=LIMIT_S) as sender:
        answer = await sender.put(grant.upload_uri, content=made_pictures.jpeg())
    assert answer.status_code == httpx.codes.CREATED, answer.text
    uploaded: str = grant.upload_id
    return uploaded


async def _set_avatar(stage: Stage) -> Call:
    request = profile.SetAvatarRequest(name=stage.athlete.user, upload_id=await _sent(stage))
    prepare = _unary(f"{_PROFILES}SetAvatar", lambda _: request, profile.SetAvatarResponse)
    call: Call = await prepare(stage)
    return call


async def _delete_avatar(stage: Stage) -> Call:
    await (await _set_avatar(stage))()
    request = profile.DeleteAvatarRequest(name=stage.athlete.user)
    prepare = _unary(f"{_PROFILES}DeleteAvatar", lambda _: request, profile.DeleteAvatarResponse)
    call: Call = await prepare(stage)
    return call


_ERASURES = "/palestra.identity.v1.ErasureService/"


async def _erasure(stage: Stage) -> erasures.Erasure:
    """What is planned; its secret is kept nowhere in plain."""
    request = erasures.RequestErasureRequest(parent=stage.athlete.user)
    path = f"{_ERASURES}RequestErasure"
    found = (await stage.ask(path, request, erasures.RequestErasureResponse)).erasure
    stage.secrets.add(found.certificate_secret)
    return found


async def _request_erasure(stage: Stage) -> Call:
    async def call() -> str:
        return f"OK {(await _erasure(stage)).SerializeToString(deterministic=True).hex()}"

    return _told(call)


async def _cancel_erasure(stage: Stage) -> Call:
    planned = await _erasure(stage)
    request = erasures.CancelErasureRequest(name=planned.name)
    path = f"{_ERASURES}CancelErasure"
    call: Call = await _unary(path, lambda _: request, erasures.CancelErasureResponse)(stage)
    return call


async def _certificate(stage: Stage) -> Call:
    planned = await _erasure(stage)
    request = erasures.GetErasureCertificateRequest(
        certificate_id=planned.certificate_id, certificate_secret=planned.certificate_secret
    )
    path = f"{_ERASURES}GetErasureCertificate"
    prepare = _unary(path, lambda _: request, erasures.GetErasureCertificateResponse)
    call: Call = await prepare(stage)
    return call


_EXPORTS = "/palestra.identity.v1.ExportService/"
EXPORTED_S = 30.0


def _export(language: str) -> Callable[[Stage], Awaitable[Call]]:
    """An export, and what came of it when it was ready."""

    async def prepare(stage: Stage) -> Call:
        request = exports.RequestExportRequest(
            parent=stage.athlete.user, request_id="the-same", language_code=language
        )

        async def call() -> str:
            path = f"{_EXPORTS}RequestExport"
            found = await stage.ask(path, request, exports.RequestExportResponse)
            return f"OK {await _exported(stage, found.export.name)}"

        return _told(call)

    return prepare


async def _exported(stage: Stage, name: str) -> str:
    request = exports.GetExportRequest(name=name)
    async with asyncio.timeout(EXPORTED_S):
        while True:
            found = await stage.ask(f"{_EXPORTS}GetExport", request, exports.GetExportResponse)
            if found.export.state == exports.EXPORT_STATE_READY:
                return found.export.name
            await asyncio.sleep(0.2)


async def _export_link(stage: Stage) -> Call:
    """Each call's link is its own; that it is given is the answer."""
    asked = exports.RequestExportRequest(parent=stage.athlete.user, request_id="the-same")
    made = await stage.ask(f"{_EXPORTS}RequestExport", asked, exports.RequestExportResponse)
    request = exports.CreateExportDownloadRequest(name=await _exported(stage, made.export.name))

    async def call() -> str:
        path = f"{_EXPORTS}CreateExportDownload"
        found = await stage.ask(path, request, exports.CreateExportDownloadResponse)
        stage.secrets.add(found.download_uri.partition("signature=")[2].partition("&")[0])
        return "OK"

    return _told(call)


async def _person_key(stage: Stage) -> Call:
    ask = stage.orders[AS_TRAINING].unary_unary(
        "/palestra.identity.v1.PersonKeyService/GetPersonKey", None, None
    )
    request = person_keys.GetPersonKeyRequest(name=stage.athlete.user).SerializeToString()

    async def call() -> str:
        found = person_keys.GetPersonKeyResponse.FromString(await ask(request, timeout=LIMIT_S))
        stage.secrets.add(found.key.hex())
        return f"OK {found.key_id}"

    return _told(call)


def _erase(service: str) -> Case:
    """What is erased is counted once, whoever asks how often."""

    async def prepare(stage: Stage) -> Call:
        await stage.ask(_REGISTER_DEVICE, _device("Watch")(stage), device.RegisterDeviceResponse)
        kind = data_subject_rpc.contract_of(service).methods_by_name["EraseData"]
        ask = stage.orders[service].unary_unary(f"{_subjects(service)}EraseData", None, None)
        request: Any = message_factory.GetMessageClass(kind.input_type)(name=stage.athlete.user)

        async def call() -> str:
            told = await ask(request.SerializeToString(), timeout=LIMIT_S)
            found: Any = message_factory.GetMessageClass(kind.output_type).FromString(told)
            return f"OK {found.done}"

        return _told(call)

    return Case(prepare, erases=True)


def _subjects(service: str) -> str:
    return f"/palestra.{service}.v1.DataSubjectService/"


_APPS = "/palestra.identity.v1.AppService/"
_ACCOUNTS = "/palestra.identity.v1.ServiceAccountService/"
_OAUTH = "/palestra.identity.v1.OAuthService/"
_DELETE_GRANT = "/palestra.identity.v1.GrantService/DeleteGrant"
_BACK = "https://partner.example/back"
_VERIFIER = "v" * 43
_CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest()).decode()[:43]


def _as(
    ask: Callable[[Stage, str, Message, type[Any]], Awaitable[Any]],
    path: str,
    request: Callable[[Stage], Awaitable[Message]],
    answer: type[Message],
    *telling: str,
) -> Any:
    """A call by somebody else than the athlete; what differs by its nature is not compared."""

    async def prepare(stage: Stage) -> Call:
        made = await request(stage)

        async def call() -> str:
            found = await ask(stage, path, made, answer)
            for descriptor, value in found.ListFields():
                if descriptor.name.endswith(("_token", "_secret")):
                    stage.secrets.add(value)
                    found.ClearField(descriptor.name)
                if descriptor.name in telling:
                    found.ClearField(descriptor.name)
            return f"OK {found}"

        return _told(call)

    return prepare


async def _athlete(stage: Stage, path: str, request: Message, answer: type[Any]) -> Any:
    return await stage.ask(path, request, answer)


async def _administrator(stage: Stage, path: str, request: Message, answer: type[Any]) -> Any:
    token = await asyncio.to_thread(administrators.token, stage.athlete.stack)
    ask = stage.edge.unary_unary(path, None, answer.FromString)
    metadata = (("authorization", f"Bearer {token}"),)
    return await ask(request.SerializeToString(), metadata=metadata, timeout=LIMIT_S)


async def _edge(stage: Stage, path: str, request: Message, answer: type[Any]) -> Any:
    ask = stage.itself.unary_unary(path, None, answer.FromString)
    return await ask(request.SerializeToString(), timeout=LIMIT_S)


def _app(name: str) -> Callable[[Stage], Awaitable[apps.CreateAppRequest]]:
    async def request(stage: Stage) -> apps.CreateAppRequest:
        # Whoever answers for an app can be reached.
        await (await _verify(stage))()
        told = clients.App(
            display_name=name,
            redirect_uris=[_BACK],
            scopes=["activities.read"],
            authentication=clients.CLIENT_AUTHENTICATION_SECRET,
        )
        return apps.CreateAppRequest(parent=stage.athlete.user, app=told, request_id="the-same")

    return request


_ZONES = "/palestra.identity.v1.PrivacyZoneService/"
_UPDATE_SETTINGS = "/palestra.identity.v1.SettingsService/UpdateSettings"


def _settings(stage: Stage) -> settings.UpdateSettingsRequest:
    name = f"{stage.athlete.user}/settings"
    etag = stage.athlete.get(name)["settings"]["etag"]
    changed = settings_pb2.Settings(name=name, etag=etag, theme=settings_pb2.THEME_DARK)
    return settings.UpdateSettingsRequest(settings=changed)


def _zone(radius_m: int) -> Callable[[Stage], zones.CreatePrivacyZoneRequest]:
    def request(stage: Stage) -> zones.CreatePrivacyZoneRequest:
        wanted = zones.PrivacyZone(latitude_deg=59.9, longitude_deg=30.3, radius_m=radius_m)
        return zones.CreatePrivacyZoneRequest(
            parent=stage.athlete.user, request_id="the-same", privacy_zone=wanted
        )

    return request


async def _made_zone(stage: Stage) -> zones.PrivacyZone:
    path = f"{_ZONES}CreatePrivacyZone"
    made = await stage.ask(path, _zone(200)(stage), zones.CreatePrivacyZoneResponse)
    return made.privacy_zone


async def _update_zone(stage: Stage) -> Call:
    zone = await _made_zone(stage)
    changed = zones.PrivacyZone(name=zone.name, etag=zone.etag, radius_m=300)
    request = zones.UpdatePrivacyZoneRequest(privacy_zone=changed)
    path = f"{_ZONES}UpdatePrivacyZone"
    call: Call = await _unary(path, lambda _: request, zones.UpdatePrivacyZoneResponse)(stage)
    return call


async def _delete_zone(stage: Stage) -> Call:
    request = zones.DeletePrivacyZoneRequest(name=(await _made_zone(stage)).name)
    path = f"{_ZONES}DeletePrivacyZone"
    call: Call = await _unary(path, lambda _: request, zones.DeletePrivacyZoneResponse)(stage)
    return call


_GOALS = "/palestra.identity.v1.GoalService/"


def _goal(title: str) -> Callable[[Stage], goals.CreateGoalRequest]:
    def request(stage: Stage) -> goals.CreateGoalRequest:
        wanted = goals.Goal(title=title, weight=goals.WeightGoal(weight_kg=60))
        return goals.CreateGoalRequest(
            parent=stage.athlete.user, request_id="the-same", goal=wanted
        )

    return request


async def _made_app(stage: Stage) -> apps.CreateAppResponse:
    request = await _app("Partner")(stage)
    made = await stage.ask(f"{_APPS}CreateApp", request, apps.CreateAppResponse)
    stage.secrets.add(made.client_secret)
    return made


async def _update_app(stage: Stage) -> apps.UpdateAppRequest:
    app = (await _made_app(stage)).app
    app.display_name = "Another name"
    return apps.UpdateAppRequest(app=app)


async def _rotate_app(stage: Stage) -> apps.RotateAppSecretRequest:
    return apps.RotateAppSecretRequest(name=(await _made_app(stage)).app.name, overlap_s=60)


async def _delete_app(stage: Stage) -> apps.DeleteAppRequest:
    return apps.DeleteAppRequest(name=(await _made_app(stage)).app.name)


def _account(name: str) -> Callable[[Stage], Awaitable[accounts.CreateServiceAccountRequest]]:
    async def request(stage: Stage) -> accounts.CreateServiceAccountRequest:
        told = clients.ServiceAccount(
            display_name=name,
            purpose="nightly reports",
            scopes=["activities.read"],
            authentication=clients.CLIENT_AUTHENTICATION_SECRET,
        )
        # One administrator calls for every athlete.
        request_id = f"the-same for {stage.athlete.user[-12:]}"
        return accounts.CreateServiceAccountRequest(service_account=told, request_id=request_id)

    return request


async def _made_account(stage: Stage) -> clients.ServiceAccount:
    request = await _account("Reports")(stage)
    answer = accounts.CreateServiceAccountResponse
    made = await _administrator(stage, f"{_ACCOUNTS}CreateServiceAccount", request, answer)
    stage.secrets.add(made.client_secret)
    found: clients.ServiceAccount = made.service_account
    return found


async def _update_account(stage: Stage) -> accounts.UpdateServiceAccountRequest:
    account = await _made_account(stage)
    account.display_name = "Another name"
    return accounts.UpdateServiceAccountRequest(service_account=account)


async def _rotate_account(stage: Stage) -> accounts.RotateServiceAccountSecretRequest:
    name = (await _made_account(stage)).name
    return accounts.RotateServiceAccountSecretRequest(name=name, overlap_s=60)


async def _delete_account(stage: Stage) -> accounts.DeleteServiceAccountRequest:
    return accounts.DeleteServiceAccountRequest(name=(await _made_account(stage)).name)


def _parameters(**told: str) -> list[oauth.OAuthParameter]:
    return [oauth.OAuthParameter(name=name, value=value) for name, value in told.items()]


async def _sign_in_browser(stage: Stage) -> oauth.SignInBrowserRequest:
    return oauth.SignInBrowserRequest(email=stage.athlete.email, password=stage.athlete.password)


async def _second_browser_step(stage: Stage) -> Call:
    """What ends a sign-in serves once, so that what is repeated is the whole of it."""
    made = Authenticator()
    await factor_cases.registered(stage, made)
    asked = await _sign_in_browser(stage)

    async def call() -> str:
        answer = await _edge(stage, f"{_OAUTH}SignInBrowser", asked, oauth.SignInBrowserResponse)
        needed = answer.second_factor
        shown = factor_cases.shown(stage, made, needed.passkey_options)
        proof = factors.SecondFactorProof(passkey=shown)
        request = oauth.CompleteBrowserSignInRequest(ticket=needed.ticket, proof=proof)
        path = f"{_OAUTH}CompleteBrowserSignIn"
        done = await _edge(stage, path, request, oauth.CompleteBrowserSignInResponse)
        stage.secrets |= {needed.ticket, done.browser_token}
        return f"OK {done.expires_in}"

    return _told(call)


async def _browser_passkey(stage: Stage) -> Call:
    made = Authenticator()
    await factor_cases.registered(stage, made)
    client_id = (await _made_app(stage)).app.client_id
    asked = oauth.DescribeAuthorizationRequest(parameters=_agreeing(client_id, "").parameters)

    async def call() -> str:
        path, kind = f"{_OAUTH}DescribeAuthorization", oauth.DescribeAuthorizationResponse
        passkey = (await _edge(stage, path, asked, kind)).passkey
        shown = factor_cases.shown(stage, made, passkey.passkey_options)
        request = oauth.FinishBrowserPasskeyRequest(ticket=passkey.ticket, passkey=shown)
        path = f"{_OAUTH}FinishBrowserPasskey"
        done = await _edge(stage, path, request, oauth.FinishBrowserPasskeyResponse)
        stage.secrets |= {passkey.ticket, done.browser_token}
        return f"OK {done.expires_in}"

    return _told(call)


async def _cookie(stage: Stage) -> str:
    request = await _sign_in_browser(stage)
    answer = await _edge(stage, f"{_OAUTH}SignInBrowser", request, oauth.SignInBrowserResponse)
    stage.secrets.add(answer.browser_token)
    cookie: str = answer.browser_token
    return cookie


async def _decide(stage: Stage) -> oauth.DecideAuthorizationRequest:
    return _agreeing((await _made_app(stage)).app.client_id, await _cookie(stage))


def _agreeing(client_id: str, cookie: str) -> oauth.DecideAuthorizationRequest:
    parameters = _parameters(
        response_type="code",
        client_id=client_id,
        scope="activities.read",
        code_challenge=_CHALLENGE,
        code_challenge_method="S256",
    )
    return oauth.DecideAuthorizationRequest(
        parameters=parameters, browser_token=cookie, decision=oauth.AUTHORIZATION_DECISION_ALLOW
    )


async def _signed_out(stage: Stage) -> oauth.SignOutBrowserRequest:
    return oauth.SignOutBrowserRequest(browser_token=await _cookie(stage))


async def _granted(stage: Stage) -> dict[str, str]:
    """What an app needs to go on with what it was granted."""
    made = await _made_app(stage)
    agreed = _agreeing(made.app.client_id, await _cookie(stage))
    answer = oauth.DecideAuthorizationResponse
    back = (await _edge(stage, f"{_OAUTH}DecideAuthorization", agreed, answer)).redirect_uri
    proof = {"client_id": made.app.client_id, "client_secret": made.client_secret}
    code = dict(parse_qsl(urlsplit(back).query))["code"]
    asked = _parameters(
        grant_type="authorization_code", code=code, code_verifier=_VERIFIER, **proof
    )
    request = oauth.IssueTokenRequest(parameters=asked)
    issued = await _edge(stage, f"{_OAUTH}IssueToken", request, oauth.IssueTokenResponse)
    stage.secrets |= {code, issued.access_token, issued.refresh_token}
    return {**proof, "refresh_token": issued.refresh_token}


async def _renewed(stage: Stage) -> oauth.IssueTokenRequest:
    told = await _granted(stage)
    return oauth.IssueTokenRequest(parameters=_parameters(grant_type="refresh_token", **told))


async def _revoked(stage: Stage) -> oauth.RevokeTokenRequest:
    told = await _granted(stage)
    token = told.pop("refresh_token")
    return oauth.RevokeTokenRequest(parameters=_parameters(token=token, **told))


async def _introspected(stage: Stage) -> oauth.IntrospectTokenRequest:
    told = await _granted(stage)
    token = told.pop("refresh_token")
    return oauth.IntrospectTokenRequest(parameters=_parameters(token=token, **told))


async def _taken_back(stage: Stage) -> grants.DeleteGrantRequest:
    told = await _granted(stage)
    return grants.DeleteGrantRequest(name=f"{stage.athlete.user}/grants/{told['client_id']}")


_SSO = "/palestra.identity.v1.SsoService/"


def _shop(stage: Stage) -> shops.RealShop:
    shop = stage.athlete.stack.shop
    assert shop is not None, "the stack has no shop"
    return shop


async def _back_from_shop(stage: Stage, subject: str) -> sso.SsoAnswer:
    """A whole way to the shop and back."""
    begun = await stage.ask(f"{_SSO}StartSso", sso.StartSsoRequest(), sso.StartSsoResponse)
    told = await asyncio.to_thread(shops.come_back, begun.authorization_uri, subject)
    stage.secrets |= {begun.sso_token, told["code"], told["state"]}
    return sso.SsoAnswer(code=told["code"], state=told["state"], sso_token=begun.sso_token)


def _by_the_shop(
    name: str,
    ask: Callable[[Stage, str, Message, type[Any]], Awaitable[Any]],
    request: Callable[[Stage, sso.SsoAnswer], Message],
) -> Case:
    """What ends a sign-in serves once, so that what is repeated is the whole of it."""

    async def prepare(stage: Stage) -> Call:
        subject = f"shopper-{uuid.uuid4()}"

        async def call() -> str:
            answer = await _back_from_shop(stage, subject)
            kind = getattr(sso, f"{name}Response")
            found = await ask(stage, f"{_SSO}{name}", request(stage, answer), kind)
            for field_ in ("access_token", "refresh_token", "browser_token"):
                if secret := getattr(found, field_, ""):
                    stage.secrets.add(secret)
            return f"OK {getattr(found, 'user', '')}"

        return _told(call)

    return Case(prepare)


async def _start_sso(_: Stage) -> sso.StartSsoRequest:
    return sso.StartSsoRequest()


async def _linked(stage: Stage) -> sso.UnlinkSsoRequest:
    answer = await _back_from_shop(stage, f"shopper-{uuid.uuid4()}")
    request = sso.LinkSsoRequest(name=stage.athlete.user, answer=answer)
    await stage.ask(f"{_SSO}LinkSso", request, sso.LinkSsoResponse)
    return sso.UnlinkSsoRequest(name=stage.athlete.user)


async def _told_of_logout(stage: Stage) -> sso.EndShopSessionsRequest:
    subject = f"shopper-{uuid.uuid4()}"
    request = sso.FinishSsoRequest(answer=await _back_from_shop(stage, subject))
    await stage.ask(f"{_SSO}FinishSso", request, sso.FinishSsoResponse)
    return sso.EndShopSessionsRequest(logout_token=_shop(stage).logout_token(subject))


_OF_THE_SHOP: Mapping[str, Case] = {
    f"{_SSO}StartSso": Case(
        _as(_athlete, f"{_SSO}StartSso", _start_sso, sso.StartSsoResponse, "authorization_uri")
    ),
    f"{_SSO}FinishSso": _by_the_shop(
        "FinishSso", _athlete, lambda _, answer: sso.FinishSsoRequest(answer=answer)
    ),
    f"{_SSO}FinishBrowserSso": _by_the_shop(
        "FinishBrowserSso", _edge, lambda _, answer: sso.FinishBrowserSsoRequest(answer=answer)
    ),
    f"{_SSO}LinkSso": _by_the_shop(
        "LinkSso",
        _athlete,
        lambda stage, answer: sso.LinkSsoRequest(name=stage.athlete.user, answer=answer),
    ),
    f"{_SSO}UnlinkSso": Case(_as(_athlete, f"{_SSO}UnlinkSso", _linked, sso.UnlinkSsoResponse)),
    f"{_SSO}EndShopSessions": Case(
        _as(_edge, f"{_SSO}EndShopSessions", _told_of_logout, sso.EndShopSessionsResponse)
    ),
}

_BROWSER_OF_ITS_OWN = frozenset({"identity.sessions", "identity.browsers"})
_OF_PARTNERS: Mapping[str, Case] = {
    f"{_APPS}CreateApp": Case(
        _as(_athlete, f"{_APPS}CreateApp", _app("Partner"), apps.CreateAppResponse),
        other_body=_as(_athlete, f"{_APPS}CreateApp", _app("Other"), apps.CreateAppResponse),
    ),
    f"{_APPS}UpdateApp": Case(
        _as(_athlete, f"{_APPS}UpdateApp", _update_app, apps.UpdateAppResponse)
    ),
    # Each call makes a secret, of which the last two are good.
    f"{_APPS}RotateAppSecret": Case(
        _as(_athlete, f"{_APPS}RotateAppSecret", _rotate_app, apps.RotateAppSecretResponse, "app"),
        for_each=frozenset({"identity.clients.version"}),
    ),
    f"{_APPS}DeleteApp": Case(
        _as(_athlete, f"{_APPS}DeleteApp", _delete_app, apps.DeleteAppResponse)
    ),
    f"{_ACCOUNTS}CreateServiceAccount": Case(
        _as(
            _administrator,
            f"{_ACCOUNTS}CreateServiceAccount",
            _account("Reports"),
            accounts.CreateServiceAccountResponse,
        ),
        other_body=_as(
            _administrator,
            f"{_ACCOUNTS}CreateServiceAccount",
            _account("Other"),
            accounts.CreateServiceAccountResponse,
        ),
    ),
    f"{_ACCOUNTS}UpdateServiceAccount": Case(
        _as(
            _administrator,
            f"{_ACCOUNTS}UpdateServiceAccount",
            _update_account,
            accounts.UpdateServiceAccountResponse,
        )
    ),
    f"{_ACCOUNTS}RotateServiceAccountSecret": Case(
        _as(
            _administrator,
            f"{_ACCOUNTS}RotateServiceAccountSecret",
            _rotate_account,
            accounts.RotateServiceAccountSecretResponse,
            "service_account",
        )
    ),
    f"{_ACCOUNTS}DeleteServiceAccount": Case(
        _as(
            _administrator,
            f"{_ACCOUNTS}DeleteServiceAccount",
            _delete_account,
            accounts.DeleteServiceAccountResponse,
        )
    ),
    _DELETE_GRANT: Case(_as(_athlete, _DELETE_GRANT, _taken_back, grants.DeleteGrantResponse)),
    f"{_OAUTH}SignInBrowser": Case(
        _as(_edge, f"{_OAUTH}SignInBrowser", _sign_in_browser, oauth.SignInBrowserResponse),
        for_each=_BROWSER_OF_ITS_OWN,
    ),
    f"{_OAUTH}CompleteBrowserSignIn": Case(_second_browser_step, for_each=_BROWSER_OF_ITS_OWN),
    f"{_OAUTH}FinishBrowserPasskey": Case(_browser_passkey, for_each=_BROWSER_OF_ITS_OWN),
    f"{_OAUTH}IntrospectToken": Case(
        _as(_edge, f"{_OAUTH}IntrospectToken", _introspected, oauth.IntrospectTokenResponse)
    ),
    f"{_OAUTH}SignOutBrowser": Case(
        _as(_edge, f"{_OAUTH}SignOutBrowser", _signed_out, oauth.SignOutBrowserResponse)
    ),
    # The way back has the code in it, and each has its own.
    f"{_OAUTH}DecideAuthorization": Case(
        _as(
            _edge,
            f"{_OAUTH}DecideAuthorization",
            _decide,
            oauth.DecideAuthorizationResponse,
            "redirect_uri",
        ),
        for_each=frozenset({"identity.authorization_codes"}),
    ),
    f"{_OAUTH}IssueToken": Case(
        _as(_edge, f"{_OAUTH}IssueToken", _renewed, oauth.IssueTokenResponse)
    ),
    f"{_OAUTH}RevokeToken": Case(
        _as(_edge, f"{_OAUTH}RevokeToken", _revoked, oauth.RevokeTokenResponse)
    ),
}


async def _made_goal(stage: Stage) -> goals.Goal:
    made = await stage.ask(f"{_GOALS}CreateGoal", _goal("One")(stage), goals.CreateGoalResponse)
    return made.goal


async def _update_goal(stage: Stage) -> Call:
    goal = await _made_goal(stage)
    changed = goals.Goal(name=goal.name, etag=goal.etag, state=goals.GOAL_STATE_ACHIEVED)
    request = goals.UpdateGoalRequest(goal=changed)
    prepare = _unary(f"{_GOALS}UpdateGoal", lambda _: request, goals.UpdateGoalResponse)
    call: Call = await prepare(stage)
    return call


async def _delete_goal(stage: Stage) -> Call:
    request = goals.DeleteGoalRequest(name=(await _made_goal(stage)).name)
    prepare = _unary(f"{_GOALS}DeleteGoal", lambda _: request, goals.DeleteGoalResponse)
    call: Call = await prepare(stage)
    return call


_AUTH = "/palestra.identity.v1.AuthService/"
_SESSIONS = "/palestra.identity.v1.SessionService/"
_ADDRESSES = "/palestra.identity.v1.AddressService/"
NEW_PASSWORD = "another long enough secret"


async def _mailed(stage: Stage, email: str, kind: str) -> str:
    return await asyncio.to_thread(mailbox.code, stage.athlete.stack, email, kind)


async def _primary(stage: Stage) -> str:
    found = stage.athlete.get(f"{stage.athlete.user}/addresses")["addresses"]
    return next(str(each["name"]) for each in found if each.get("primary"))


async def _delete_session(stage: Stage) -> Call:
    await stage.ask(f"{_AUTH}Login", _login(stage), auth.LoginResponse)
    asked = session.ListSessionsRequest(parent="users/me")
    found = await stage.ask(f"{_SESSIONS}ListSessions", asked, session.ListSessionsResponse)
    other = next(each.name for each in found.sessions if not each.current)
    prepare = _unary(
        f"{_SESSIONS}DeleteSession",
        lambda _: session.DeleteSessionRequest(name=other),
        session.DeleteSessionResponse,
    )
    call: Call = await prepare(stage)
    return call


async def _verify(stage: Stage) -> Call:
    code = await _mailed(stage, stage.athlete.email, "verify_address")
    request = address.VerifyAddressRequest(name=await _primary(stage), code=code)
    prepare = _unary(f"{_ADDRESSES}VerifyAddress", lambda _: request, address.VerifyAddressResponse)
    call: Call = await prepare(stage)
    return call


def _add(stage: Stage) -> address.AddAddressRequest:
    email = f"second-{stage.athlete.email}"
    return address.AddAddressRequest(parent=stage.athlete.user, email=email)


async def _added(stage: Stage) -> str:
    """The name of a second address."""
    done = await stage.ask(f"{_ADDRESSES}AddAddress", _add(stage), address.AddAddressResponse)
    return str(done.address.name)


async def _make_primary(stage: Stage) -> Call:
    name = await _added(stage)
    code = await _mailed(stage, f"second-{stage.athlete.email}", "verify_address")
    proof = address.VerifyAddressRequest(name=name, code=code)
    await (await _verify(stage))()
    await stage.ask(f"{_ADDRESSES}VerifyAddress", proof, address.VerifyAddressResponse)
    request = address.MakePrimaryAddressRequest(name=name)
    answer = address.MakePrimaryAddressResponse
    prepare = _unary(f"{_ADDRESSES}MakePrimaryAddress", lambda _: request, answer)
    call: Call = await prepare(stage)
    return call


async def _remove_address(stage: Stage) -> Call:
    request = address.RemoveAddressRequest(name=await _added(stage))
    prepare = _unary(f"{_ADDRESSES}RemoveAddress", lambda _: request, address.RemoveAddressResponse)
    call: Call = await prepare(stage)
    return call


async def _send_code(stage: Stage) -> Call:
    request = address.SendVerificationCodeRequest(name=await _primary(stage))
    answer = address.SendVerificationCodeResponse
    prepare = _unary(f"{_ADDRESSES}SendVerificationCode", lambda _: request, answer)
    call: Call = await prepare(stage)
    return call


def _forget(stage: Stage) -> auth.RequestPasswordResetRequest:
    return auth.RequestPasswordResetRequest(email=stage.athlete.email)


async def _reset(stage: Stage) -> Call:
    answer = auth.RequestPasswordResetResponse
    await stage.ask(f"{_AUTH}RequestPasswordReset", _forget(stage), answer)
    code = await _mailed(stage, stage.athlete.email, "reset_password")
    request = auth.ResetPasswordRequest(
        email=stage.athlete.email, code=code, new_password=NEW_PASSWORD
    )
    prepare = _unary(f"{_AUTH}ResetPassword", lambda _: request, auth.ResetPasswordResponse)
    call: Call = await prepare(stage)
    return call


async def _unlock(stage: Stage) -> Call:
    await asyncio.to_thread(mailbox.lock, stage.athlete.stack, stage.athlete.user)
    code = await _mailed(stage, stage.athlete.email, "unlock_account")
    request = auth.UnlockAccountRequest(email=stage.athlete.email, code=code)
    prepare = _unary(f"{_AUTH}UnlockAccount", lambda _: request, auth.UnlockAccountResponse)
    call: Call = await prepare(stage)
    return call


def _change(stage: Stage) -> auth.ChangePasswordRequest:
    return auth.ChangePasswordRequest(
        name=stage.athlete.user,
        current_password=stage.athlete.password,
        new_password=NEW_PASSWORD,
    )


_SESSION_OF_ITS_OWN = frozenset({"identity.sessions"})
# A watch that opens a session twice at once is two watches: one of them is told to go.
_FENCED = frozenset({"REJECT/SESSION_FENCED", "REJECT/SESSION_CLOSED", "REJECT/SESSION_ENDED"})

_RELATIONS = "/palestra.identity.v1.RelationService/"


async def _other(stage: Stage) -> dict[str, str]:
    """Somebody else, as he calls over REST."""
    account = {
        "email": f"other-{stage.athlete.email}",
        "password": stage.athlete.password,
        "displayName": "Other",
    }
    async with httpx.AsyncClient(
        base_url=stage.athlete.stack.rest_url, timeout=LIMIT_S
    ) as anonymous:
        answer = await anonymous.post("/v1/auth:register", json=account)
    told: dict[str, str] = answer.json()
    stage.secrets |= {told["accessToken"], told["refreshToken"]}
    return told


def _making(name: str) -> Callable[[Stage], Awaitable[Call]]:
    """Following, blocking, muting, trusting somebody."""

    async def prepare(stage: Stage) -> Call:
        user = (await _other(stage))["user"]
        kind = getattr(relation, f"{name}Request")
        request = kind(parent=stage.athlete.user, user=user)
        answer = getattr(relation, f"{name}Response")
        call: Call = await _unary(f"{_RELATIONS}{name}", lambda _: request, answer)(stage)
        return call

    return prepare


def _ending(name: str, collection: str, makes: str) -> Callable[[Stage], Awaitable[Call]]:
    """Taking away what was made before."""

    async def prepare(stage: Stage) -> Call:
        user = (await _other(stage))["user"]
        made = getattr(relation, f"{makes}Request")(parent=stage.athlete.user, user=user)
        answer = getattr(relation, f"{makes}Response")
        await stage.ask(f"{_RELATIONS}{makes}", made, answer)
        return await _about(stage, name, collection, user)

    return prepare


def _answering(name: str, collection: str) -> Callable[[Stage], Awaitable[Call]]:
    """What one does with who asks to follow."""

    async def prepare(stage: Stage) -> Call:
        other = await _other(stage)
        headers = {"authorization": f"Bearer {other['accessToken']}"}
        async with httpx.AsyncClient(
            base_url=stage.athlete.stack.rest_url, timeout=LIMIT_S, headers=headers
        ) as asking:
            asked = await asking.post("/v1/users/me/following", json={"user": stage.athlete.user})
        assert asked.json()["relation"]["following"] == "FOLLOW_STATE_REQUESTED", asked.text
        return await _about(stage, name, collection, other["user"])

    return prepare


async def _about(stage: Stage, name: str, collection: str, user: str) -> Call:
    thing = f"{stage.athlete.user}/{collection}/{user.removeprefix('users/')}"
    request = getattr(relation, f"{name}Request")(name=thing)
    answer = getattr(relation, f"{name}Response")
    call: Call = await _unary(f"{_RELATIONS}{name}", lambda _: request, answer)(stage)
    return call


def _follow_settings(stage: Stage) -> relation.UpdateFollowSettingsRequest:
    changed = relation.FollowSettings(name=f"{stage.athlete.user}/followSettings")
    changed.approval = relation.FOLLOW_APPROVAL_OPEN
    return relation.UpdateFollowSettingsRequest(follow_settings=changed)


_OF_RELATIONS: Mapping[str, Case] = {
    **{
        f"{_RELATIONS}{name}": Case(_making(name))
        for name in ("Follow", "Block", "Mute", "AddCloseFriend")
    },
    f"{_RELATIONS}Unfollow": Case(_ending("Unfollow", "following", "Follow")),
    f"{_RELATIONS}Unblock": Case(_ending("Unblock", "blocks", "Block")),
    f"{_RELATIONS}Unmute": Case(_ending("Unmute", "mutes", "Mute")),
    f"{_RELATIONS}RemoveCloseFriend": Case(
        _ending("RemoveCloseFriend", "closeFriends", "AddCloseFriend")
    ),
    f"{_RELATIONS}ApproveFollow": Case(_answering("ApproveFollow", "followRequests")),
    f"{_RELATIONS}DeclineFollow": Case(_answering("DeclineFollow", "followRequests")),
    f"{_RELATIONS}RemoveFollower": Case(_answering("RemoveFollower", "followers")),
    f"{_RELATIONS}UpdateFollowSettings": Case(
        _unary(
            f"{_RELATIONS}UpdateFollowSettings",
            _follow_settings,
            relation.UpdateFollowSettingsResponse,
        )
    ),
}


def _factors(
    prepare: Callable[[Any], Awaitable[Call]], for_each: frozenset[str] = frozenset()
) -> Case:
    async def prepared(stage: Stage) -> Call:
        return _told(await prepare(stage))

    return Case(prepared, for_each=for_each)


_OF_FACTORS = {
    **{path: _factors(each) for path, each in factor_cases.PREPARED.items()},
    **{path: _factors(each, _SESSION_OF_ITS_OWN) for path, each in factor_cases.SIGN_INS.items()},
}

_OF_ROLES = {
    **{path: _factors(each) for path, each in role_cases.PREPARED.items()},
    role_cases.GRANT: Case(
        _factors(role_cases.granting("reads reports")).prepare,
        other_body=_factors(role_cases.granting("reads more")).prepare,
    ),
}

_CONSENTS = "/palestra.identity.v1.ConsentService/"


def _give(*purposes: Purpose) -> Any:
    def request(stage: Stage) -> consent.GiveConsentRequest:
        texts = [consents.text(each) for each in purposes]
        return consent.GiveConsentRequest(
            parent=stage.athlete.user, texts=texts, request_id="the-same"
        )

    return _unary(f"{_CONSENTS}GiveConsent", request, consent.GiveConsentResponse)


def _withdraw(purpose: Purpose) -> Callable[[Stage], Awaitable[Call]]:
    async def prepare(stage: Stage) -> Call:
        await (await _give(consents.HEALTH, consents.PLACES)(stage))()
        request = consent.WithdrawConsentRequest(
            name=f"{stage.athlete.user}/consents/{purpose.slug}", request_id="the-same"
        )
        path = f"{_CONSENTS}WithdrawConsent"
        call: Call = await _unary(path, lambda _: request, consent.WithdrawConsentResponse)(stage)
        return call

    return prepare


_OF_CONSENTS = {
    f"{_CONSENTS}GiveConsent": Case(
        _give(consents.HEALTH, consents.PLACES), other_body=_give(consents.HEALTH)
    ),
    f"{_CONSENTS}WithdrawConsent": Case(
        _withdraw(consents.HEALTH), other_body=_withdraw(consents.PLACES)
    ),
}

CASES: Mapping[str, Case] = {
    **_OF_CONSENTS,
    **_OF_FACTORS,
    **_OF_ROLES,
    **_OF_RELATIONS,
    **_OF_PARTNERS,
    **_OF_THE_SHOP,
    f"{_AUTH}Register": Case(
        _unary(f"{_AUTH}Register", _register, auth.RegisterResponse), for_each=_SESSION_OF_ITS_OWN
    ),
    f"{_AUTH}Login": Case(
        _unary(f"{_AUTH}Login", _login, auth.LoginResponse), for_each=_SESSION_OF_ITS_OWN
    ),
    f"{_AUTH}RefreshToken": Case(
        _unary(f"{_AUTH}RefreshToken", _refresh, auth.RefreshTokenResponse)
    ),
    f"{_AUTH}RequestPasswordReset": Case(
        _unary(f"{_AUTH}RequestPasswordReset", _forget, auth.RequestPasswordResetResponse)
    ),
    f"{_AUTH}ResetPassword": Case(_reset),
    f"{_AUTH}UnlockAccount": Case(_unlock),
    f"{_AUTH}ChangePassword": Case(
        _unary(f"{_AUTH}ChangePassword", _change, auth.ChangePasswordResponse)
    ),
    f"{_SESSIONS}DeleteSession": Case(_delete_session),
    f"{_SESSIONS}EndSessions": Case(
        _unary(
            f"{_SESSIONS}EndSessions",
            lambda _: session.EndSessionsRequest(parent="users/me"),
            session.EndSessionsResponse,
        )
    ),
    f"{_ADDRESSES}AddAddress": Case(
        _unary(f"{_ADDRESSES}AddAddress", _add, address.AddAddressResponse)
    ),
    f"{_ADDRESSES}SendVerificationCode": Case(_send_code),
    f"{_ADDRESSES}VerifyAddress": Case(_verify),
    f"{_ADDRESSES}MakePrimaryAddress": Case(_make_primary),
    f"{_ADDRESSES}RemoveAddress": Case(_remove_address),
    f"{_AUTH}Logout": Case(_unary(f"{_AUTH}Logout", _logout, auth.LogoutResponse)),
    "/palestra.identity.v1.ProfileService/UpdateProfile": Case(
        _unary(
            "/palestra.identity.v1.ProfileService/UpdateProfile",
            _profile,
            profile.UpdateProfileResponse,
        )
    ),
    f"{_PROFILES}CreateAvatarUpload": Case(_grant),
    f"{_PROFILES}SetAvatar": Case(_set_avatar),
    f"{_PROFILES}DeleteAvatar": Case(_delete_avatar),
    f"{_GOALS}CreateGoal": Case(
        _unary(f"{_GOALS}CreateGoal", _goal("One"), goals.CreateGoalResponse),
        other_body=_unary(f"{_GOALS}CreateGoal", _goal("Another"), goals.CreateGoalResponse),
    ),
    f"{_GOALS}UpdateGoal": Case(_update_goal),
    f"{_GOALS}DeleteGoal": Case(_delete_goal),
    _UPDATE_SETTINGS: Case(_unary(_UPDATE_SETTINGS, _settings, settings.UpdateSettingsResponse)),
    f"{_ZONES}CreatePrivacyZone": Case(
        _unary(f"{_ZONES}CreatePrivacyZone", _zone(200), zones.CreatePrivacyZoneResponse),
        other_body=_unary(
            f"{_ZONES}CreatePrivacyZone", _zone(300), zones.CreatePrivacyZoneResponse
        ),
    ),
    f"{_ZONES}UpdatePrivacyZone": Case(_update_zone),
    f"{_ZONES}DeletePrivacyZone": Case(_delete_zone),
    _REGISTER_DEVICE: Case(
        _unary(_REGISTER_DEVICE, _device("Watch"), device.RegisterDeviceResponse),
        other_body=_unary(_REGISTER_DEVICE, _device("Phone"), device.RegisterDeviceResponse),
    ),
    "/palestra.integration.v1.DeviceService/DeleteDevice": Case(_delete_device),
    "/palestra.integration.v1.TelemetryService/StreamTelemetry": Case(_stream, may_refuse=_FENCED),
    "/palestra.training.v1.TrackerService/IngestTelemetry": Case(_ingest, may_refuse=_FENCED),
    "/palestra.training.v1.ActivityService/UpdateActivity": Case(_update_activity),
    "/palestra.training.v1.ActivityService/DeleteActivity": Case(_delete_activity),
    f"{_EXPORTS}RequestExport": Case(_export("en"), other_body=_export("ru")),
    f"{_EXPORTS}CreateExportDownload": Case(_export_link),
    f"{_ERASURES}RequestErasure": Case(_request_erasure),
    f"{_ERASURES}CancelErasure": Case(_cancel_erasure),
    f"{_ERASURES}GetErasureCertificate": Case(_certificate),
    "/palestra.identity.v1.PersonKeyService/GetPersonKey": Case(_person_key),
    **{f"{_subjects(each.name)}EraseData": _erase(each.name) for each in catalog.SERVICES},
}
