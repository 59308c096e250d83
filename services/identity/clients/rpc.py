"""AppService and ServiceAccountService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names, pages
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import keyed_id, uuid7
from palestra.identity.v1 import app_service_pb2 as app_pb
from palestra.identity.v1 import client_pb2 as pb
from palestra.identity.v1 import service_account_service_pb2 as account_pb
from services.identity.clients.assertions import jwks_of
from services.identity.clients.flow import BEGINNING, Asked, ClientFlow
from services.identity.clients.rules.clients import HOUSE, Client, Secret

USUAL_PAGE = 50


class AppRpc:
    """Serves palestra.identity.v1.AppService."""

    CONTRACT = app_pb.DESCRIPTOR.services_by_name["AppService"]

    def __init__(self, flow: ClientFlow) -> None:
        self._flow = flow

    async def CreateApp(
        self, request: app_pb.CreateAppRequest, call: Call
    ) -> app_pb.CreateAppResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        client_id = _new_id(user_id, call, request.request_id)
        made, secret = await self._flow.create(user_id, client_id, _asked_app(request.app))
        return app_pb.CreateAppResponse(app=_app(made), client_secret=secret)

    async def ListApps(
        self, request: app_pb.ListAppsRequest, call: Call
    ) -> app_pb.ListAppsResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found, token = await _page(self._flow, user_id, request.page_size, request.page_token)
        return app_pb.ListAppsResponse(apps=map(_app, found), next_page_token=token)

    async def UpdateApp(
        self, request: app_pb.UpdateAppRequest, call: Call
    ) -> app_pb.UpdateAppResponse:
        user_id, client_id = names.parse(request.app.name, "users", "apps", field="app.name")
        version = _version(request.app.etag)
        done = await self._flow.update(user_id, client_id, _asked_app(request.app), version)
        return app_pb.UpdateAppResponse(app=_app(done))

    async def RotateAppSecret(
        self, request: app_pb.RotateAppSecretRequest, call: Call
    ) -> app_pb.RotateAppSecretResponse:
        user_id, client_id = names.parse(request.name, "users", "apps")
        overlap = timedelta(seconds=request.overlap_s)
        done, secret = await self._flow.rotate(user_id, client_id, overlap)
        return app_pb.RotateAppSecretResponse(app=_app(done), client_secret=secret)

    async def DeleteApp(
        self, request: app_pb.DeleteAppRequest, call: Call
    ) -> app_pb.DeleteAppResponse:
        await self._flow.delete(*names.parse(request.name, "users", "apps"))
        return app_pb.DeleteAppResponse()


class ServiceAccountRpc:
    """Serves palestra.identity.v1.ServiceAccountService."""

    CONTRACT = account_pb.DESCRIPTOR.services_by_name["ServiceAccountService"]

    def __init__(self, flow: ClientFlow) -> None:
        self._flow = flow

    async def CreateServiceAccount(
        self, request: account_pb.CreateServiceAccountRequest, call: Call
    ) -> account_pb.CreateServiceAccountResponse:
        client_id = _new_id(call.signed_in.id, call, request.request_id)
        asked = _asked_account(request.service_account)
        made, secret = await self._flow.create(HOUSE, client_id, asked)
        return account_pb.CreateServiceAccountResponse(
            service_account=_account(made), client_secret=secret
        )

    async def ListServiceAccounts(
        self, request: account_pb.ListServiceAccountsRequest, call: Call
    ) -> account_pb.ListServiceAccountsResponse:
        found, token = await _page(self._flow, HOUSE, request.page_size, request.page_token)
        return account_pb.ListServiceAccountsResponse(
            service_accounts=map(_account, found), next_page_token=token
        )

    async def UpdateServiceAccount(
        self, request: account_pb.UpdateServiceAccountRequest, call: Call
    ) -> account_pb.UpdateServiceAccountResponse:
        told = request.service_account
        (client_id,) = names.parse(told.name, "serviceAccounts", field="service_account.name")
        version = _version(told.etag)
        done = await self._flow.update(HOUSE, client_id, _asked_account(told), version)
        return account_pb.UpdateServiceAccountResponse(service_account=_account(done))

    async def RotateServiceAccountSecret(
        self, request: account_pb.RotateServiceAccountSecretRequest, call: Call
    ) -> account_pb.RotateServiceAccountSecretResponse:
        (client_id,) = names.parse(request.name, "serviceAccounts")
        overlap = timedelta(seconds=request.overlap_s)
        done, secret = await self._flow.rotate(HOUSE, client_id, overlap)
        return account_pb.RotateServiceAccountSecretResponse(
            service_account=_account(done), client_secret=secret
        )

    async def DeleteServiceAccount(
        self, request: account_pb.DeleteServiceAccountRequest, call: Call
    ) -> account_pb.DeleteServiceAccountResponse:
        (client_id,) = names.parse(request.name, "serviceAccounts")
        await self._flow.delete(HOUSE, client_id)
        return account_pb.DeleteServiceAccountResponse()


def _new_id(user_id: uuid.UUID, call: Call, request_id: str) -> uuid.UUID:
    return keyed_id(user_id, call.method, request_id or call.request_id or str(uuid7()))


async def _page(
    flow: ClientFlow, user_id: uuid.UUID, size: int, token: str
) -> tuple[list[Client], str]:
    page_key = f"clients of {user_id}"
    after = _cursor(pages.cursor(page_key, token))
    found, more = await flow.clients(user_id, after, size or USUAL_PAGE)
    if not more:
        return found, ""
    last = found[-1]
    return found, pages.token(page_key, [last.created_at.isoformat(), str(last.client_id)])


def _cursor(found: list[object] | None) -> tuple[datetime, uuid.UUID]:
    if found is None:
        return BEGINNING
    try:
        created_at, client_id = found
        return datetime.fromisoformat(str(created_at)), uuid.UUID(str(client_id))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None


def _version(etag: str) -> int | None:
    if not etag:
        return None
    if not etag.isdecimal():
        raise MeshError("ETAG_MISMATCH")
    return int(etag)


def _asked_app(app: pb.App) -> Asked:
    return Asked(
        app.display_name,
        app.homepage_uri,
        app.redirect_uris,
        app.scopes,
        app.authentication,
        [each.jwk for each in app.keys],
    )


def _asked_account(account: pb.ServiceAccount) -> Asked:
    return Asked(
        account.display_name,
        account.purpose,
        (),
        account.scopes,
        account.authentication,
        [each.jwk for each in account.keys],
    )


def _app(client: Client) -> pb.App:
    told = client.told
    return pb.App(
        name=client.name,
        display_name=told.display_name,
        homepage_uri=told.about,
        redirect_uris=told.redirect_uris,
        scopes=told.scopes,
        authentication=cast("pb.ClientAuthentication.ValueType", int(told.authentication)),
        keys=[pb.ClientKey(jwk=each) for each in jwks_of(told.keys)],
        client_id=str(client.client_id),
        secrets=map(_secret, client.secrets),
        create_time=_time(client.created_at),
        etag=str(client.version),
    )


def _account(client: Client) -> pb.ServiceAccount:
    told = client.told
    return pb.ServiceAccount(
        name=client.name,
        display_name=told.display_name,
        purpose=told.about,
        scopes=told.scopes,
        authentication=cast("pb.ClientAuthentication.ValueType", int(told.authentication)),
        keys=[pb.ClientKey(jwk=each) for each in jwks_of(told.keys)],
        client_id=str(client.client_id),
        secrets=map(_secret, client.secrets),
        create_time=_time(client.created_at),
        etag=str(client.version),
    )


def _secret(secret: Secret) -> pb.ClientSecret:
    told = pb.ClientSecret(create_time=_time(secret.created_at))
    if secret.expires_at is not None:
        told.expire_time.CopyFrom(_time(secret.expires_at))
    return told


def _time(at: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(at)
    return found
