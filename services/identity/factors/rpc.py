"""FactorService and SecondStepService: decode, call, encode."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names
from palestra.identity.v1 import factor_pb2
from palestra.identity.v1 import factor_service_pb2 as pb
from palestra.identity.v1 import second_step_service_pb2 as step_pb
from services.identity.factors import qr
from services.identity.factors.flow import FactorFlow
from services.identity.factors.passkeys import Passkey
from services.identity.factors.proofs import Proof
from services.identity.factors.second_step import Question, SecondStep
from services.identity.factors.step_up import StepUp
from services.identity.roles.rules import ADMINISTRATOR
from services.identity.sessions.devices import device_of

DeviceToken = Callable[[uuid.UUID], str]
"""By which a device shows later that the person has signed in on it."""
_KINDS = {
    "totp": factor_pb2.FACTOR_KIND_TOTP,
    "recovery_code": factor_pb2.FACTOR_KIND_RECOVERY_CODE,
    "passkey": factor_pb2.FACTOR_KIND_PASSKEY,
}


class FactorRpc:
    """Serves palestra.identity.v1.FactorService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["FactorService"]

    def __init__(self, flow: FactorFlow) -> None:
        self._flow = flow

    async def GetSecondFactors(
        self, request: pb.GetSecondFactorsRequest, call: Call
    ) -> pb.GetSecondFactorsResponse:
        (user_id,) = names.parse(request.name, "users")
        factors, passkeys = await self._flow.factors(user_id)
        told = factor_pb2.SecondFactors(
            recovery_codes=factors.recovery_codes,
            passkeys=[_passkey(user_id, each) for each in passkeys],
            totp_create_time=_time(factors.totp.created_at) if factors.totp else None,
            reset_time=_time(factors.reset_at) if factors.reset_at else None,
        )
        return pb.GetSecondFactorsResponse(second_factors=told)

    async def CreateTotp(self, request: pb.CreateTotpRequest, call: Call) -> pb.CreateTotpResponse:
        (user_id,) = names.parse(request.name, "users")
        offer = await self._flow.create_totp(user_id, request.account)
        return pb.CreateTotpResponse(
            enrolment_token=offer.token,
            secret=offer.secret,
            otpauth_uri=offer.uri,
            qr_svg=qr.svg(offer.uri),
            expire_time=_time(offer.expires_at),
        )

    async def ConfirmTotp(
        self, request: pb.ConfirmTotpRequest, call: Call
    ) -> pb.ConfirmTotpResponse:
        (user_id,) = names.parse(request.name, "users")
        await self._flow.confirm_totp(user_id, request.enrolment_token, request.code)
        return pb.ConfirmTotpResponse()

    async def DeleteTotp(self, request: pb.DeleteTotpRequest, call: Call) -> pb.DeleteTotpResponse:
        (user_id,) = names.parse(request.name, "users")
        await self._flow.delete_totp(user_id)
        return pb.DeleteTotpResponse()

    async def CreateRecoveryCodes(
        self, request: pb.CreateRecoveryCodesRequest, call: Call
    ) -> pb.CreateRecoveryCodesResponse:
        (user_id,) = names.parse(request.name, "users")
        codes = await self._flow.create_recovery_codes(user_id)
        return pb.CreateRecoveryCodesResponse(recovery_codes=codes)

    async def StartPasskeyRegistration(
        self, request: pb.StartPasskeyRegistrationRequest, call: Call
    ) -> pb.StartPasskeyRegistrationResponse:
        (user_id,) = names.parse(request.name, "users")
        offer = await self._flow.start_passkey(user_id, request.account)
        return pb.StartPasskeyRegistrationResponse(
            enrolment_token=offer.token,
            options=offer.options,
            expire_time=_time(offer.expires_at),
        )

    async def CreatePasskey(
        self, request: pb.CreatePasskeyRequest, call: Call
    ) -> pb.CreatePasskeyResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        made = await self._flow.create_passkey(
            user_id, request.enrolment_token, request.credential, request.display_name
        )
        return pb.CreatePasskeyResponse(passkey=_passkey(user_id, made))

    async def UpdatePasskey(
        self, request: pb.UpdatePasskeyRequest, call: Call
    ) -> pb.UpdatePasskeyResponse:
        user_id, passkey_id = _ids(request.passkey.name, "passkey.name")
        done = await self._flow.rename_passkey(user_id, passkey_id, request.passkey.display_name)
        return pb.UpdatePasskeyResponse(passkey=_passkey(user_id, done))

    async def DeletePasskey(
        self, request: pb.DeletePasskeyRequest, call: Call
    ) -> pb.DeletePasskeyResponse:
        await self._flow.delete_passkey(*_ids(request.name, "name"))
        return pb.DeletePasskeyResponse()

    async def ResetSecondFactors(
        self, request: pb.ResetSecondFactorsRequest, call: Call
    ) -> pb.ResetSecondFactorsResponse:
        (user_id,) = names.parse(request.name, "users")
        by = call.signed_in
        at = await self._flow.plan_reset(
            user_id, by.id, request.reason, as_administrator=ADMINISTRATOR in by.roles
        )
        return pb.ResetSecondFactorsResponse(reset_time=_time(at))


class SecondStepRpc:
    """Serves palestra.identity.v1.SecondStepService."""

    CONTRACT = step_pb.DESCRIPTOR.services_by_name["SecondStepService"]

    def __init__(self, flow: SecondStep, step_up: StepUp, device_token: DeviceToken) -> None:
        self._flow = flow
        self._step_up = step_up
        self._device_token = device_token

    async def CompleteLogin(
        self, request: step_pb.CompleteLoginRequest, call: Call
    ) -> step_pb.CompleteLoginResponse:
        done = await self._flow.complete(request.ticket, proof_of(request.proof))
        return step_pb.CompleteLoginResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
            device_token=self._device_token(done.user_id),
        )

    async def StartPasskeyLogin(
        self, request: step_pb.StartPasskeyLoginRequest, call: Call
    ) -> step_pb.StartPasskeyLoginResponse:
        asked = self._flow.start_alone()
        return step_pb.StartPasskeyLoginResponse(
            ticket=asked.ticket,
            options=asked.passkey_options,
            expire_time=_time(asked.expires_at),
        )

    async def FinishPasskeyLogin(
        self, request: step_pb.FinishPasskeyLoginRequest, call: Call
    ) -> step_pb.FinishPasskeyLoginResponse:
        done = await self._flow.finish_alone(request.ticket, request.passkey, device_of(call))
        return step_pb.FinishPasskeyLoginResponse(
            user=f"users/{done.user_id}",
            access_token=done.access_token,
            refresh_token=done.refresh_token,
            expires_in=done.expires_in_s,
            device_token=self._device_token(done.user_id),
        )

    async def StartReauthentication(
        self, request: step_pb.StartReauthenticationRequest, call: Call
    ) -> step_pb.StartReauthenticationResponse:
        (user_id,) = names.parse(request.name, "users")
        asked = await self._flow.start_again(user_id, call.signed_in.session)
        return step_pb.StartReauthenticationResponse(second_factor=question(asked))

    async def Reauthenticate(
        self, request: step_pb.ReauthenticateRequest, call: Call
    ) -> step_pb.ReauthenticateResponse:
        (user_id,) = names.parse(request.name, "users")
        session_id = uuid.UUID(call.signed_in.session)
        if request.HasField("proof"):
            proof = proof_of(request.proof)
            done = await self._step_up.by_factor(user_id, session_id, request.ticket, proof)
        else:
            done = await self._step_up.by_password(user_id, session_id, request.password)
        return step_pb.ReauthenticateResponse(access_token=done[0], expires_in=done[1])


def question(asked: Question) -> factor_pb2.SecondFactorNeeded:
    """What is asked, as the contract says it."""
    return factor_pb2.SecondFactorNeeded(
        ticket=asked.ticket,
        factors=[_KINDS[each] for each in asked.kinds],
        passkey_options=asked.passkey_options,
        expire_time=_time(asked.expires_at),
    )


def proof_of(told: factor_pb2.SecondFactorProof) -> Proof:
    """What is shown, as the flow takes it."""
    return Proof(told.totp_code, told.recovery_code, told.passkey)


def _ids(name: str, field: str) -> tuple[uuid.UUID, uuid.UUID]:
    user_id, passkey_id = names.parse(name, "users", "passkeys", field=field)
    return user_id, passkey_id


def _passkey(user_id: uuid.UUID, told: Passkey) -> factor_pb2.Passkey:
    return factor_pb2.Passkey(
        name=f"users/{user_id}/passkeys/{told.passkey_id}",
        display_name=told.display_name,
        create_time=_time(told.created_at),
        last_use_time=_time(told.used_at) if told.used_at else None,
        synced=told.is_synced,
    )


def _time(at: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(at)
    return found
