"""Staff of a running stack: who signed up, set up a passkey, and was granted roles.

The first grant comes by the command on the machine, as everywhere. One person of a stack has
every role, and signs in by the passkey alone as often as a fresh sign-in is needed.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from mesh import policy
from mesh.local.places import ROOT
from tests.support.authenticator import RP_ID, Authenticator
from tests.support.whole_stack import WholeStack

FRESH_S = 300.0
"""A sign-in that is older is done again: sensitive methods ask for a fresh one."""
LIMIT_S = 30.0
ROLES = tuple(each.name for each in policy.roles() if each.is_granted)


@dataclass
class Staff:
    """Somebody with a passkey."""

    stack: WholeStack
    user: str
    """`users/{user}`."""
    email: str
    password: str = field(repr=False)
    passkey: Authenticator = field(repr=False)
    refresh_token: str = field(repr=False)
    """Of the session from before the passkey."""
    signed_in_s: float = 0.0
    _token: str = field(default="", repr=False)

    def token(self) -> str:
        """An access token of a fresh sign-in by the passkey."""
        if time.monotonic() - self.signed_in_s > FRESH_S or not self._token:
            self._token, self.signed_in_s = self.sign_in(), time.monotonic()
        return self._token

    def sign_in(self) -> str:
        """Signs in by the passkey alone; the access token."""
        with httpx.Client(base_url=self.stack.rest_url, timeout=LIMIT_S) as rest:
            begun = _post(rest, "auth:startPasskeyLogin")
            shown = self.passkey.get(begun["options"], origin=self.stack.rest_url, rp_id=RP_ID)
            proof = {"ticket": begun["ticket"], "passkey": shown}
            return _post(rest, "auth:finishPasskeyLogin", **proof)["accessToken"]

    def first_token(self) -> str:
        """An access token of the session from before the passkey, by the password alone; once."""
        with httpx.Client(base_url=self.stack.rest_url, timeout=LIMIT_S) as rest:
            return _post(rest, "auth:refresh", refreshToken=self.refresh_token)["accessToken"]

    @property
    def headers(self) -> dict[str, str]:
        """Of REST calls."""
        return {"authorization": f"Bearer {self.token()}"}


_OF: dict[Path, Staff] = {}


def of(stack: WholeStack) -> Staff:
    """The stack's one member of staff, with every role; made when first asked for."""
    if stack.state not in _OF:
        made = somebody(stack)
        command(stack, "grant", "--reason=tests", *(f"--role={each}" for each in ROLES), made.user)
        _OF[stack.state] = made
    return _OF[stack.state]


def token(stack: WholeStack) -> str:
    """An access token with every role."""
    return of(stack).token()


def somebody(stack: WholeStack) -> Staff:
    """Somebody new with a passkey, and no role yet."""
    email, password = f"{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(12)
    with httpx.Client(base_url=stack.rest_url, timeout=LIMIT_S) as rest:
        account = {"email": email, "password": password, "displayName": "Staff"}
        told = _post(rest, "auth:register", **account)
        rest.headers["authorization"] = f"Bearer {told['accessToken']}"
        begun = _post(rest, "users/me:startPasskeyRegistration")
        made = Authenticator()
        credential = made.create(begun["options"], origin=stack.rest_url, rp_id=RP_ID)
        kept = {"enrolmentToken": begun["enrolmentToken"], "credential": credential}
        _post(rest, "users/me/passkeys", **kept, displayName="Key")
    return Staff(stack, told["user"], email, password, made, told["refreshToken"])


def command(stack: WholeStack, *arguments: str) -> str:
    """Runs `palestra admin`; what it says."""
    whole = [sys.executable, "-m", "mesh.local", "admin", arguments[0], f"--state={stack.state}"]
    done = subprocess.run(
        [*whole, *arguments[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _post(rest: httpx.Client, path: str, **body: object) -> dict[str, str]:
    answer = rest.post(f"/v1/{path}", json=body)
    assert answer.status_code == httpx.codes.OK, f"{path}: {answer.text}"
    found: dict[str, str] = answer.json()
    return found
