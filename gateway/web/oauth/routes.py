"""The endpoints that apps' servers call, the metadata, and the mount of all of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import pages
from gateway.web.host import Host
from gateway.web.oauth import forms, html
from gateway.web.oauth.authorize import Authorize
from gateway.web.oauth.identity import Identity, Refused
from gateway.web.oauth.shop import Shop
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import key_service_pb2 as keys_pb
from palestra.identity.v1 import oauth_service_pb2 as pb

_ERRORS: Mapping[str, tuple[str, int]] = {
    "OAUTH_REQUEST_INVALID": ("invalid_request", 400),
    "INVALID_FIELD": ("invalid_request", 400),
    "OAUTH_CLIENT_INVALID": ("invalid_client", 401),
    "OAUTH_GRANT_INVALID": ("invalid_grant", 400),
    "OAUTH_CLIENT_UNAUTHORIZED": ("unauthorized_client", 400),
    "OAUTH_GRANT_TYPE_UNSUPPORTED": ("unsupported_grant_type", 400),
    "OAUTH_SCOPE_INVALID": ("invalid_scope", 400),
    "UNAVAILABLE": ("temporarily_unavailable", 503),
}
LONGEST_TOKEN = 8192
_CLAIMS = (
    *("iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "amr"),
    *("name", "email", "email_verified"),
)
_SECRET = {"cache-control": "no-store", "pragma": "no-cache"}
_KNOWN = {"cache-control": "public, max-age=300"}
_STYLE = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}


def mount(host: Host) -> Sequence[BaseRoute]:
    """All paths of `gateway.pages.OAUTH` and `SSO`."""
    identity = Identity(host)
    authorize = Authorize(identity)
    endpoints, shop = _Endpoints(identity), Shop(identity, authorize)
    style, script = html.STYLE(), html.SCRIPT()

    async def css(_: Request) -> Response:
        return Response(style, media_type="text/css", headers=_STYLE)

    async def javascript(_: Request) -> Response:
        return Response(script, media_type="text/javascript", headers=_STYLE)

    return (
        Route(pages.AUTHORIZE.path, authorize.__call__, methods=["GET", "POST"]),
        Route(pages.TOKEN.path, endpoints.token, methods=["POST"]),
        Route(pages.REVOKE.path, endpoints.revoke, methods=["POST"]),
        Route(pages.INTROSPECT.path, endpoints.introspect, methods=["POST"]),
        Route(pages.USERINFO.path, endpoints.userinfo, methods=["GET", "POST"]),
        Route(pages.JWKS.path, endpoints.jwks),
        Route(pages.OLD_JWKS.path, endpoints.jwks),
        Route(pages.OAUTH_METADATA.path, endpoints.metadata),
        Route(pages.OPENID_METADATA.path, endpoints.metadata),
        Route(pages.OAUTH_STYLE.path, css),
        Route(pages.OAUTH_SCRIPT.path, javascript),
        Route(pages.SSO_START.path, shop.start),
        Route(pages.SSO_CALLBACK.path, shop.callback),
        Route(pages.SSO_LOGOUT.path, shop.logout, methods=["POST"]),
    )


class _Endpoints:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def token(self, request: Request) -> Response:
        """RFC 6749 §3.2."""
        try:
            told = await self._form(request, pb.IssueTokenRequest())
            done = await self._identity.ask(request, "IssueToken", told)
        except (Refused, MeshError) as error:
            return _refusal(request, error)
        answer = {
            "access_token": done.access_token,
            "token_type": "Bearer",
            "expires_in": done.expires_in,
            "scope": done.scope,
        }
        if done.refresh_token:
            answer["refresh_token"] = done.refresh_token
        if done.id_token:
            answer["id_token"] = done.id_token
        return JSONResponse(answer, headers=_SECRET)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662: of what is not the app's nothing is said but that it is not active."""
        try:
            told = await self._form(request, pb.IntrospectTokenRequest())
            found = await self._identity.ask(request, "IntrospectToken", told)
        except (Refused, MeshError) as error:
            return _refusal(request, error)
        if not found.active:
            return JSONResponse({"active": False}, headers=_SECRET)
        content = {
            "active": True,
            "client_id": found.client_id,
            "sub": found.subject,
            "scope": found.scope,
            "iat": found.issue_time_s,
            "exp": found.expire_time_s,
            "auth_time": found.auth_time_s,
        } | ({"token_type": "Bearer"} if found.access else {})
        return JSONResponse(content, headers=_SECRET)

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect Core §5.3; the token comes in the header alone."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
            # Who shows nothing is told nothing more (RFC 6750 §3.1).
            return _unauthorized("" if not token else "invalid_token")
        try:
            asked = pb.GetUserInfoRequest(access_token=token)
            told = await self._identity.ask(request, "GetUserInfo", asked)
        except Refused as refused:
            if refused.reason == "OAUTH_SCOPE_INVALID":
                return _unauthorized("insufficient_scope", 403)
            return _unauthorized("invalid_token")
        except MeshError as error:
            return _refusal(request, error)
        content: dict[str, object] = {"sub": told.subject}
        if told.HasField("name"):
            content["name"] = told.name
        if told.HasField("email"):
            content |= {"email": told.email, "email_verified": True}
        return JSONResponse(content, headers=_SECRET)

    async def revoke(self, request: Request) -> Response:
        """RFC 7009: a token that is none is revoked already."""
        try:
            told = await self._form(request, pb.RevokeTokenRequest())
            await self._identity.ask(request, "RevokeToken", told)
        except (Refused, MeshError) as error:
            return _refusal(request, error)
        return Response(status_code=200, headers=_SECRET)

    async def _form(self, request: Request, told: Any) -> Any:
        told.parameters.extend(forms.parameters(await forms.form(request)))
        authorization = request.headers.get("authorization", "")
        if len(authorization) > 1024:
            raise MeshError("INVALID_FIELD", "the Authorization header is too long")
        told.authorization = authorization
        return told

    async def jwks(self, request: Request) -> Response:
        """The keys that access tokens are verified with (RFC 8037)."""
        found = await self._identity.keys(request, keys_pb.GetKeySetRequest())
        keys = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": key.key_id,
                "x": base64.urlsafe_b64encode(key.public_key).rstrip(b"=").decode(),
            }
            for key in found.keys
        ]
        return JSONResponse({"keys": keys}, headers=_KNOWN)

    async def metadata(self, request: Request) -> Response:
        """RFC 8414 and OpenID Connect Discovery 1.0: one document at both their places."""
        question = pb.GetAuthorizationServerRequest()
        told = await self._identity.ask(request, "GetAuthorizationServer", question)
        methods = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
        algorithms = ["EdDSA", "ES256", "RS256", "PS256"]
        content = {
            "issuer": told.issuer,
            "authorization_endpoint": told.issuer + pages.AUTHORIZE.path,
            "token_endpoint": told.issuer + pages.TOKEN.path,
            "revocation_endpoint": told.issuer + pages.REVOKE.path,
            "introspection_endpoint": told.issuer + pages.INTROSPECT.path,
            "userinfo_endpoint": told.issuer + pages.USERINFO.path,
            "jwks_uri": told.issuer + pages.JWKS.path,
            "service_documentation": told.issuer + pages.DOCS.path,
            "scopes_supported": list(told.scopes),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "client_credentials",
            ],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "ui_locales_supported": ["en", "ru"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "revocation_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint_auth_methods_supported": methods[1:],
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "claims_supported": list(_CLAIMS),
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
        return JSONResponse(content, headers=_KNOWN)


def _unauthorized(error: str, status: int = 401) -> Response:
    """An error as RFC 6750 §3 has it."""
    challenge = 'Bearer realm="palestra"' + (f', error="{error}"' if error else "")
    return Response(status_code=status, headers=_SECRET | {"www-authenticate": challenge})


def _refusal(request: Request, error: Refused | MeshError) -> Response:
    """An error as RFC 6749 §5.2 has it."""
    code, status = _ERRORS.get(error.reason, ("server_error", 500))
    headers = dict(_SECRET)
    if status == 401 and "authorization" in request.headers:
        headers["www-authenticate"] = 'Basic realm="palestra"'
    return JSONResponse(
        {"error": code, "error_description": str(error)}, status_code=status, headers=headers
    )
