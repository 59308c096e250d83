"""How each method of second factors is repeated; see `repeat_cases`, which tells the outcome."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mesh.runtime.clock import now
from palestra.identity.v1 import auth_service_pb2 as auth
from palestra.identity.v1 import factor_pb2, second_step_service_pb2
from palestra.identity.v1 import factor_service_pb2 as factors
from services.identity.factors import rules
from tests.support import administrators
from tests.support.authenticator import RP_ID as RP_ID  # noqa: PLC0414
from tests.support.authenticator import Authenticator

FACTORS = "/palestra.identity.v1.FactorService/"
STEPS = "/palestra.identity.v1.SecondStepService/"
step = second_step_service_pb2
Call = Callable[[], Awaitable[str]]


async def confirmation(stage: Any) -> factors.ConfirmTotpRequest:
    """What confirms an app that was just offered."""
    asked = factors.CreateTotpRequest(name=stage.athlete.user)
    offer = await stage.ask(f"{FACTORS}CreateTotp", asked, factors.CreateTotpResponse)
    stage.secrets |= {offer.enrolment_token, offer.secret}
    code = rules.hotp(base64.b32decode(offer.secret), rules.step_at(now()))
    return factors.ConfirmTotpRequest(
        name=stage.athlete.user, enrolment_token=offer.enrolment_token, code=code
    )


async def confirmed(stage: Any) -> None:
    """Sets an app up."""
    request = await confirmation(stage)
    await stage.ask(f"{FACTORS}ConfirmTotp", request, factors.ConfirmTotpResponse)


async def registration(stage: Any, made: Authenticator) -> factors.CreatePasskeyRequest:
    """What keeps a passkey that was just made."""
    asked = factors.StartPasskeyRegistrationRequest(name=stage.athlete.user)
    path = f"{FACTORS}StartPasskeyRegistration"
    offer = await stage.ask(path, asked, factors.StartPasskeyRegistrationResponse)
    stage.secrets.add(offer.enrolment_token)
    credential = made.create(offer.options, origin=stage.athlete.stack.rest_url, rp_id=RP_ID)
    return factors.CreatePasskeyRequest(
        parent=stage.athlete.user,
        enrolment_token=offer.enrolment_token,
        credential=credential,
        display_name="Key",
    )


async def registered(stage: Any, made: Authenticator) -> str:
    """Keeps a passkey; its name."""
    request = await registration(stage, made)
    done = await stage.ask(f"{FACTORS}CreatePasskey", request, factors.CreatePasskeyResponse)
    return str(done.passkey.name)


def shown(stage: Any, made: Authenticator, options: str) -> str:
    """What a passkey says that is asked with those options."""
    return made.get(options, origin=stage.athlete.stack.rest_url, rp_id=RP_ID)


async def _create_totp(stage: Any) -> Call:
    async def call() -> str:
        await confirmation(stage)
        return "OK"

    return call


async def _confirm_totp(stage: Any) -> Call:
    request = await confirmation(stage)

    async def call() -> str:
        await stage.ask(f"{FACTORS}ConfirmTotp", request, factors.ConfirmTotpResponse)
        return "OK"

    return call


async def _delete_totp(stage: Any) -> Call:
    await confirmed(stage)
    request = factors.DeleteTotpRequest(name=stage.athlete.user)

    async def call() -> str:
        await stage.ask(f"{FACTORS}DeleteTotp", request, factors.DeleteTotpResponse)
        return "OK"

    return call


async def _create_codes(stage: Any) -> Call:
    await confirmed(stage)
    request = factors.CreateRecoveryCodesRequest(name=stage.athlete.user)

    async def call() -> str:
        path = f"{FACTORS}CreateRecoveryCodes"
        done = await stage.ask(path, request, factors.CreateRecoveryCodesResponse)
        stage.secrets |= set(done.recovery_codes)
        return f"OK {len(done.recovery_codes)}"

    return call


async def _start_passkey(stage: Any) -> Call:
    async def call() -> str:
        await registration(stage, Authenticator())
        return "OK"

    return call


async def _create_passkey(stage: Any) -> Call:
    request = await registration(stage, Authenticator())

    async def call() -> str:
        done = await stage.ask(f"{FACTORS}CreatePasskey", request, factors.CreatePasskeyResponse)
        return f"OK {done}"

    return call


async def _update_passkey(stage: Any) -> Call:
    name = await registered(stage, Authenticator())
    named = factor_pb2.Passkey(name=name, display_name="My phone")
    request = factors.UpdatePasskeyRequest(passkey=named)

    async def call() -> str:
        done = await stage.ask(f"{FACTORS}UpdatePasskey", request, factors.UpdatePasskeyResponse)
        return f"OK {done}"

    return call


async def _delete_passkey(stage: Any) -> Call:
    request = factors.DeletePasskeyRequest(name=await registered(stage, Authenticator()))

    async def call() -> str:
        await stage.ask(f"{FACTORS}DeletePasskey", request, factors.DeletePasskeyResponse)
        return "OK"

    return call


async def _reset(stage: Any) -> Call:
    await confirmed(stage)
    token = await asyncio.to_thread(administrators.token, stage.athlete.stack)
    request = factors.ResetSecondFactorsRequest(
        name=stage.athlete.user, reason="He has lost his phone."
    )
    answer = factors.ResetSecondFactorsResponse
    ask = stage.edge.unary_unary(f"{FACTORS}ResetSecondFactors", None, answer.FromString)
    by = (("authorization", f"Bearer {token}"),)

    async def call() -> str:
        done = await ask(request.SerializeToString(), metadata=by, timeout=20)
        return f"OK {done}"

    return call


async def _complete(stage: Any) -> Call:
    made = Authenticator()
    await registered(stage, made)
    login = auth.LoginRequest(email=stage.athlete.email, password=stage.athlete.password)

    async def call() -> str:
        path = "/palestra.identity.v1.AuthService/Login"
        asked = (await stage.ask(path, login, auth.LoginResponse)).second_factor
        answer = shown(stage, made, asked.passkey_options)
        proof = factor_pb2.SecondFactorProof(passkey=answer)
        request = step.CompleteLoginRequest(ticket=asked.ticket, proof=proof)
        path = f"{STEPS}CompleteLogin"
        done = await stage.ask(path, request, step.CompleteLoginResponse)
        stage.secrets |= {asked.ticket, done.access_token, done.refresh_token, done.device_token}
        return f"OK {done.user}"

    return call


async def _start_alone(stage: Any) -> Call:
    async def call() -> str:
        path = f"{STEPS}StartPasskeyLogin"
        request = step.StartPasskeyLoginRequest()
        asked = await stage.ask(path, request, step.StartPasskeyLoginResponse)
        stage.secrets.add(asked.ticket)
        return "OK"

    return call


async def _finish_alone(stage: Any) -> Call:
    made = Authenticator()
    await registered(stage, made)

    async def call() -> str:
        path, asked = f"{STEPS}StartPasskeyLogin", step.StartPasskeyLoginRequest()
        begun = await stage.ask(path, asked, step.StartPasskeyLoginResponse)
        answer = shown(stage, made, begun.options)
        request = step.FinishPasskeyLoginRequest(ticket=begun.ticket, passkey=answer)
        path = f"{STEPS}FinishPasskeyLogin"
        done = await stage.ask(path, request, step.FinishPasskeyLoginResponse)
        stage.secrets |= {begun.ticket, done.access_token, done.refresh_token, done.device_token}
        return f"OK {done.user}"

    return call


async def _start_again(stage: Any) -> Call:
    request = step.StartReauthenticationRequest(name=stage.athlete.user)

    async def call() -> str:
        path = f"{STEPS}StartReauthentication"
        asked = await stage.ask(path, request, step.StartReauthenticationResponse)
        stage.secrets.add(asked.second_factor.ticket)
        return "OK"

    return call


async def _again(stage: Any) -> Call:
    request = step.ReauthenticateRequest(name=stage.athlete.user, password=stage.athlete.password)

    async def call() -> str:
        done = await stage.ask(f"{STEPS}Reauthenticate", request, step.ReauthenticateResponse)
        stage.secrets.add(done.access_token)
        return f"OK {done.expires_in}"

    return call


PREPARED: Mapping[str, Callable[[Any], Awaitable[Call]]] = {
    f"{FACTORS}CreateTotp": _create_totp,
    f"{FACTORS}ConfirmTotp": _confirm_totp,
    f"{FACTORS}DeleteTotp": _delete_totp,
    f"{FACTORS}CreateRecoveryCodes": _create_codes,
    f"{FACTORS}StartPasskeyRegistration": _start_passkey,
    f"{FACTORS}CreatePasskey": _create_passkey,
    f"{FACTORS}UpdatePasskey": _update_passkey,
    f"{FACTORS}DeletePasskey": _delete_passkey,
    f"{FACTORS}ResetSecondFactors": _reset,
    f"{STEPS}StartPasskeyLogin": _start_alone,
    f"{STEPS}StartReauthentication": _start_again,
    f"{STEPS}Reauthenticate": _again,
}
# Each call is a sign-in of its own.
SIGN_INS: Mapping[str, Callable[[Any], Awaitable[Call]]] = {
    f"{STEPS}CompleteLogin": _complete,
    f"{STEPS}FinishPasskeyLogin": _finish_alone,
}
