"""OAuthService and GrantService: decode, call, encode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names
from mesh.runtime.contract import grantable_scopes
from palestra.identity.v1 import grant_service_pb2 as grant_pb
from palestra.identity.v1 import oauth_service_pb2 as pb
from services.identity.auth.flow import AuthFlow, Origin
from services.identity.factors.rpc import proof_of, question
from services.identity.factors.second_step import Asked, SecondStep
from services.identity.oauth.flow import Decision, Described, OAuthFlow, Step
from services.identity.oauth.introspection import Introspection
from services.identity.oauth.rules.codes import BROWSER_LIFETIME, Grant
from services.identity.oauth.tokens import TokenFlow
from services.identity.sessions.devices import device_of

_BROWSER_LIVES_S = int(BROWSER_LIFETIME.total_seconds())


class OAuthRpc:
    """Serves palestra.identity.v1.OAuthService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["OAuthService"]

    def __init__(
        self,
        flow: OAuthFlow,
        tokens: TokenFlow,
        auth: AuthFlow,
        second_step: SecondStep,
        introspection: Introspection,
        *,
        sso: bool,
    ) -> None:
        self._sso = sso
        self._second_step = second_step
        self._introspection = introspection
        self._flow = flow
        self._tokens = tokens
        self._auth = auth

    async def GetAuthorizationServer(
        self, request: pb.GetAuthorizationServerRequest, call: Call
    ) -> pb.GetAuthorizationServerResponse:
        scopes = [each.name for each in grantable_scopes()]
        return pb.GetAuthorizationServerResponse(issuer=self._flow.issuer, scopes=scopes)

    async def DescribeAuthorization(
        self, request: pb.DescribeAuthorizationRequest, call: Call
    ) -> pb.DescribeAuthorizationResponse:
        found = await self._flow.describe(_pairs(request.parameters), request.browser_token)
        answer = _described(found)
        answer.sso = self._sso
        if found.step is Step.SIGN_IN:
            answer.passkey.CopyFrom(question(self._second_step.start_alone()))
        return answer

    async def DecideAuthorization(
        self, request: pb.DecideAuthorizationRequest, call: Call
    ) -> pb.DecideAuthorizationResponse:
        uri = await self._flow.decide(
            _pairs(request.parameters), request.browser_token, Decision(request.decision)
        )
        return pb.DecideAuthorizationResponse(redirect_uri=uri)

    async def SignInBrowser(
        self, request: pb.SignInBrowserRequest, call: Call
    ) -> pb.SignInBrowserResponse:
        origin = Origin(call.address)
        try:
            done = await self._auth.login(
                request.email, request.password, device_of(call), origin=origin
            )
        except Asked as asked:
            return pb.SignInBrowserResponse(second_factor=question(asked.question))
        return pb.SignInBrowserResponse(
            browser_token=await self._flow.signed_in(done, request.browser_token),
            expires_in=_BROWSER_LIVES_S,
        )

    async def CompleteBrowserSignIn(
        self, request: pb.CompleteBrowserSignInRequest, call: Call
    ) -> pb.CompleteBrowserSignInResponse:
        done = await self._second_step.complete(request.ticket, proof_of(request.proof))
        return pb.CompleteBrowserSignInResponse(
            browser_token=await self._flow.signed_in(done, request.browser_token),
            expires_in=_BROWSER_LIVES_S,
        )

    async def FinishBrowserPasskey(
        self, request: pb.FinishBrowserPasskeyRequest, call: Call
    ) -> pb.FinishBrowserPasskeyResponse:
        done = await self._second_step.finish_alone(
            request.ticket, request.passkey, device_of(call)
        )
        return pb.FinishBrowserPasskeyResponse(
            browser_token=await self._flow.signed_in(done, request.browser_token),
            expires_in=_BROWSER_LIVES_S,
        )

    async def SignOutBrowser(
        self, request: pb.SignOutBrowserRequest, call: Call
    ) -> pb.SignOutBrowserResponse:
        await self._flow.sign_out(request.browser_token)
        return pb.SignOutBrowserResponse()

    async def IssueToken(self, request: pb.IssueTokenRequest, call: Call) -> pb.IssueTokenResponse:
        done = await self._tokens.issue(
            _pairs(request.parameters), request.authorization, device_of(call)
        )
        call.about.append(done.client)
        return pb.IssueTokenResponse(
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
            scope=" ".join(done.scopes),
            id_token=done.id_token,
        )

    async def IntrospectToken(
        self, request: pb.IntrospectTokenRequest, call: Call
    ) -> pb.IntrospectTokenResponse:
        found = await self._introspection.introspect(
            _pairs(request.parameters), request.authorization
        )
        if found is None:
            return pb.IntrospectTokenResponse()
        return pb.IntrospectTokenResponse(
            active=True,
            client_id=found.client_id,
            subject=found.subject,
            scope=" ".join(found.scopes),
            access=found.is_access,
            issue_time_s=found.issued_at_s,
            expire_time_s=found.expires_at_s,
            auth_time_s=found.auth_time_s,
        )

    async def GetUserInfo(
        self, request: pb.GetUserInfoRequest, call: Call
    ) -> pb.GetUserInfoResponse:
        told = await self._tokens.openid.user_info(request.access_token)
        return pb.GetUserInfoResponse(
            subject=told.subject, name=told.name or None, email=told.email or None
        )

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, call: Call
    ) -> pb.RevokeTokenResponse:
        await self._tokens.revoke(_pairs(request.parameters), request.authorization)
        return pb.RevokeTokenResponse()


class GrantRpc:
    """Serves palestra.identity.v1.GrantService."""

    CONTRACT = grant_pb.DESCRIPTOR.services_by_name["GrantService"]

    def __init__(self, flow: OAuthFlow) -> None:
        self._flow = flow

    async def ListGrants(
        self, request: grant_pb.ListGrantsRequest, call: Call
    ) -> grant_pb.ListGrantsResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        return grant_pb.ListGrantsResponse(grants=map(_grant, await self._flow.grants(user_id)))

    async def DeleteGrant(
        self, request: grant_pb.DeleteGrantRequest, call: Call
    ) -> grant_pb.DeleteGrantResponse:
        await self._flow.revoke(*names.parse(request.name, "users", "grants"))
        return grant_pb.DeleteGrantResponse()


def _pairs(parameters: Iterable[pb.OAuthParameter]) -> list[tuple[str, str]]:
    return [(each.name, each.value) for each in parameters]


def _described(found: Described) -> pb.DescribeAuthorizationResponse:
    words = {each.name: each for each in grantable_scopes()}
    told = found.client.told if found.client else None
    return pb.DescribeAuthorizationResponse(
        step=cast("pb.AuthorizationStep.ValueType", int(found.step)),
        app_display_name=told.display_name if told else "",
        homepage_uri=told.about if told else "",
        return_origin=found.return_origin,
        scopes=[
            pb.ScopeWords(scope=name, en=each.en, ru=each.ru)
            for name, each in words.items()
            if name in found.scopes
        ],
        redirect_uri=found.redirect_uri,
        refusal=found.refusal,
        person_display_name=found.person,
    )


def _grant(grant: Grant) -> grant_pb.Grant:
    created, updated, ended = Timestamp(), Timestamp(), None
    if grant.ended_at is not None:
        ended = Timestamp()
        ended.FromDatetime(grant.ended_at)
    created.FromDatetime(grant.created_at)
    updated.FromDatetime(grant.updated_at)
    return grant_pb.Grant(
        name=f"users/{grant.user_id}/grants/{grant.client_id}",
        app_display_name=grant.app_name,
        homepage_uri=grant.homepage,
        scopes=grant.scopes,
        create_time=created,
        update_time=updated,
        state=cast("grant_pb.GrantState.ValueType", int(grant.state)),
        end_time=ended,
    )
