"""A person's day with his account: codes, addresses, other passwords; every method once."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support import mailbox
from tests.support.athletes import Athlete
from tests.support.rest_errors import refusal

NEW = {"newPassword": "a third long secret"}
Ask = Callable[..., httpx.Response]


def forgotten(ask: Ask, rest: httpx.Client, athlete: Athlete) -> dict[str, str]:
    """A code for another password is asked for, and an account unlocked; gives the code."""
    stack, held = athlete.stack, {"email": athlete.email}
    ask(rest, "POST", "auth:requestPasswordReset", json=held)
    reset = {**held, "code": mailbox.code(stack, athlete.email, "reset_password")}
    mailbox.lock(stack, athlete.user)
    unlock = {**held, "code": mailbox.code(stack, athlete.email, "unlock_account")}
    ask(rest, "POST", "auth:unlockAccount", json=unlock)
    return reset


def addresses(ask: Ask, athlete: Athlete) -> None:
    """The address of the registration is proved; a second one comes and goes."""
    rest = athlete.rest
    mine = ask(rest, "GET", "users/me/addresses").json()["addresses"][0]["name"]
    ask(rest, "POST", f"{mine}:sendCode", json={})
    proof = {"code": mailbox.code(athlete.stack, athlete.email, "verify_address")}
    ask(rest, "POST", f"{mine}:verify", json=proof)
    ask(rest, "POST", f"{mine}:makePrimary", json={})
    added = ask(rest, "POST", "users/me/addresses", json={"phone": "+7 912 345-67-89"}).json()
    second = added["address"]["name"]
    refused = ask(rest, "POST", f"{second}:makePrimary", json={})
    assert refusal(refused)[2] == "ADDRESS_NOT_VERIFIED"
    ask(rest, "DELETE", second)


def other_passwords(ask: Ask, athlete: Athlete, reset: dict[str, str]) -> None:
    """The password is changed, and then set anew by the code."""
    change = {"currentPassword": athlete.password, "newPassword": "another long secret"}
    ask(athlete.rest, "POST", "users/me:changePassword", json=change)
    ask(athlete.rest, "POST", "auth:resetPassword", json={**reset, "code": "1", **NEW})
    ask(athlete.rest, "POST", "auth:resetPassword", json={**reset, **NEW})


def signing_in(ask: Ask, athlete: Athlete) -> dict[str, str]:
    """Somebody signs up, in, on and out; the athlete forgets his password: gives the code."""
    with httpx.Client(base_url=athlete.stack.rest_url, timeout=10) as rest:
        account = {
            "email": f"day-{athlete.email}",
            "password": athlete.password,
            "displayName": "V",
        }
        ask(rest, "POST", "auth:register", json=account)
        signed = ask(rest, "POST", "auth:login", json=account).json()
        fresh = ask(rest, "POST", "auth:refresh", json={"refreshToken": signed["refreshToken"]})
        reset = forgotten(ask, rest, athlete)
        ask(rest, "POST", "auth:logout", json={"refreshToken": fresh.json()["refreshToken"]})
    return reset
