"""A person's day with second factors, over REST: every method once."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx

from mesh.runtime.clock import now
from services.identity.factors import rules
from tests.support import administrators
from tests.support.athletes import Athlete
from tests.support.authenticator import Authenticator
from tests.support.factor_cases import RP_ID
from tests.support.rest_errors import refusal

Ask = Callable[..., httpx.Response]


def spend(ask: Ask, athlete: Athlete) -> None:
    """Sets an app and a passkey up, signs in by them, and takes them away."""
    with httpx.Client(base_url=athlete.stack.rest_url, timeout=10) as rest:
        rest.headers["authorization"] = athlete.rest.headers["authorization"]
        _again(ask, rest, password=athlete.password)
        passkey, made = _set_up(ask, rest, athlete)
        told = ask(rest, "GET", "users/me/secondFactors").json()["secondFactors"]
        assert told["recoveryCodes"] == rules.RECOVERY_CODES
        _sign_in(ask, rest, athlete, made)
        refused = ask(rest, "POST", "users/me:reauthenticate", json={"password": "any"})
        assert refusal(refused)[2] == "SECOND_FACTOR_NEEDED"
        headers = administrators.of(athlete.stack).headers
        why = {"reason": "He has lost his phone."}
        ask(rest, "POST", f"{athlete.user}:resetSecondFactors", json=why, headers=headers)
        asked = ask(rest, "POST", "users/me:startReauthentication", json={}).json()["secondFactor"]
        shown = _shown(athlete, made, asked["passkeyOptions"])
        _again(ask, rest, proof={"passkey": shown}, ticket=asked["ticket"])
        ask(rest, "DELETE", passkey)
        ask(rest, "DELETE", "users/me/totp")


def _again(ask: Ask, rest: httpx.Client, **proof: Any) -> None:
    done = ask(rest, "POST", "users/me:reauthenticate", json=proof).json()
    rest.headers["authorization"] = f"Bearer {done['accessToken']}"


def _set_up(ask: Ask, rest: httpx.Client, athlete: Athlete) -> tuple[str, Authenticator]:
    offer = ask(rest, "POST", "users/me:createTotp", json={"account": "V"}).json()
    code = rules.hotp(base64.b32decode(offer["secret"]), rules.step_at(now()))
    confirm = {"enrolmentToken": offer["enrolmentToken"], "code": code}
    ask(rest, "POST", "users/me:confirmTotp", json=confirm)
    ask(rest, "POST", "users/me:createRecoveryCodes", json={})
    begun = ask(rest, "POST", "users/me:startPasskeyRegistration", json={}).json()
    made = Authenticator()
    credential = made.create(begun["options"], origin=athlete.stack.rest_url, rp_id=RP_ID)
    kept = {"enrolmentToken": begun["enrolmentToken"], "credential": credential}
    answer = ask(rest, "POST", "users/me/passkeys", json={**kept, "displayName": "Key"})
    name: str = answer.json()["passkey"]["name"]
    ask(rest, "PATCH", name, json={"displayName": "My phone"})
    return name, made


def _sign_in(ask: Ask, rest: httpx.Client, athlete: Athlete, made: Authenticator) -> None:
    account = {"email": athlete.email, "password": athlete.password}
    asked = ask(rest, "POST", "auth:login", json=account).json()
    assert not asked["accessToken"]
    ticket = asked["secondFactor"]["ticket"]
    wrong = {"ticket": ticket, "proof": {"recoveryCode": "abcd-efgh-ijkl-mnop"}}
    assert refusal(ask(rest, "POST", "auth:completeLogin", json=wrong))[2] == "SECOND_FACTOR_WRONG"
    shown = _shown(athlete, made, asked["secondFactor"]["passkeyOptions"])
    proof = {"ticket": ticket, "proof": {"passkey": shown}}
    assert ask(rest, "POST", "auth:completeLogin", json=proof).json()["accessToken"]
    begun = ask(rest, "POST", "auth:startPasskeyLogin", json={}).json()
    alone = {"ticket": begun["ticket"], "passkey": _shown(athlete, made, begun["options"])}
    assert ask(rest, "POST", "auth:finishPasskeyLogin", json=alone).json()["user"] == athlete.user


def _shown(athlete: Athlete, made: Authenticator, options: str) -> str:
    return made.get(options, origin=athlete.stack.rest_url, rp_id=RP_ID)
