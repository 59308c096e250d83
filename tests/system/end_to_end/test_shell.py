"""`palestra account` and `palestra call` at the whole stack: a newcomer's first hour."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh.runtime.clock import now
from mesh.runtime.ids import uuid7
from services.identity.factors import rules
from tests.support.whole_stack import WholeStack

PASSWORD = "four words that nobody guesses"


@dataclass(frozen=True, slots=True)
class Shell:
    """A terminal."""

    stack: WholeStack
    folder: Path

    def run(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "mesh.local", *words),
                *("--state", str(self.folder), "--target", self.stack.target),
            ],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PALESTRA_PASSWORD": PASSWORD, "PATH": ""},
        )

    def done(self, *words: str, typed: str = "") -> str:
        """What it printed; fails where it was refused."""
        done = self.run(*words, typed=typed)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def call(self, who: str, method: str, **request: Any) -> Any:
        """A method's answer."""
        return json.loads(self.done("call", method, json.dumps(request), "--as", who))


@pytest.fixture
def shell(stack: WholeStack, tmp_path: Path) -> Shell:
    return Shell(stack, tmp_path / "state")


@pytest.mark.timeout(120)
def test_two_people_sign_up_and_one_blocks_the_other(shell: Shell) -> None:
    vera, anna = (
        shell.done(
            *("account", "register", f"{name}-{uuid7()}@example.com"),
            *("--name", name.title(), "--as", name),
        )
        for name in ("vera", "anna")
    )
    shell.call("anna", "Follow", parent="users/me", user=vera)
    token = shell.call("vera", "Block", parent="users/me", user=anna)["consistencyToken"]
    kept = json.loads((shell.folder / ".people" / ".vera.json.kept").read_text())
    assert kept["consistency"] == [token], "later calls are never answered from before it"
    refused = shell.run(
        "call", "Follow", json.dumps({"parent": "users/me", "user": vera}), "--as", "anna"
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("palestra: ")
    assert "(identity.palestra)" in refused.stderr


@pytest.mark.timeout(120)
def test_a_second_factor_is_set_up_and_asked_for(shell: Shell) -> None:
    address = f"{uuid7()}@example.com"
    user = shell.done("account", "register", address, "--name", "Vera")
    offer = shell.call("me", "CreateTotp", name="users/me")
    secret, step = base64.b32decode(offer["secret"]), rules.step_at(now())
    request = {"name": "users/me", "enrolmentToken": offer["enrolmentToken"]}
    shell.call("me", "ConfirmTotp", **request, code=rules.hotp(secret, step))
    shell.done("account", "logout")
    wrong = shell.run("account", "login", address, typed="000000\n")
    assert wrong.returncode == 1
    assert "SECOND_FACTOR_WRONG (identity.palestra)" in wrong.stderr
    # The code that confirmed serves no more; the next one is good a moment early.
    assert (
        shell.done("account", "login", address, typed=f"{rules.hotp(secret, step + 1)}\n") == user
    )
    kept = json.loads((shell.folder / ".people" / ".me.json.kept").read_text())
    assert len(kept["devices"]) == 1, "the device is known from now on"
    factors = shell.call("me", "GetSecondFactors", name="users/me")["secondFactors"]
    assert factors["totpCreateTime"]
