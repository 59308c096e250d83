"""`palestra account` and `palestra call` against an edge that is not there but in the contract."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from mesh.local.cli import app
from palestra_client import FileTokenStore
from tests.support.fake_community import USER, Community, Failure, community_server
from tests.support.fake_identity import CODE, PASSWORD, TOTP, add_identity


@dataclass(frozen=True, slots=True)
class Shell:
    """A person at the keyboard."""

    community: Community
    target: str
    state: Path

    def __call__(self, *words: str, typed: str = "") -> Result:
        command = [*words, "--state", str(self.state), "--target", self.target]
        return CliRunner().invoke(app, command, input=typed, env={"PALESTRA_PASSWORD": PASSWORD})


@contextmanager
def serving(community: Community) -> Iterator[str]:
    """Serves from a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    ready, ended = threading.Event(), asyncio.Event()
    found: list[str] = []

    async def serve() -> None:
        async with community_server(community, add_identity) as target:
            found.append(target)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(20)
        loop.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    community = Community()
    with serving(community) as target:
        yield Shell(community, target, tmp_path / "state")


def test_somebody_signs_up_and_calls_any_method_with_json(shell: Shell) -> None:
    done = shell("account", "register", "ada@example.org", "--name", "Ada", "--as", "ada")
    assert (done.exit_code, done.stdout) == (0, f"{USER}\n"), done.output
    called = shell("call", "GetProfile", '{"name": "users/me"}', "--as", "ada")
    assert called.exit_code == 0, called.output
    assert json.loads(called.stdout)["profile"]["displayName"] == "Ada"
    listed = CliRunner().invoke(app, ["account", "list", "--state", str(shell.state)])
    assert listed.stdout == f"ada  {USER}\n"
    assert shell("account", "logout", "--as", "ada").exit_code == 0
    assert (
        "Nobody" in CliRunner().invoke(app, ["account", "list", "--state", str(shell.state)]).stdout
    )


def test_a_second_factor_is_asked_for(shell: Shell) -> None:
    shell.community.factors = (TOTP,)
    done = shell("account", "login", "+79123456789", typed=f"{CODE[:3]} {CODE[3:]}\n")
    assert done.exit_code == 1, "a space in the code is the server's to take"
    done = shell("account", "login", "+79123456789", typed=f"{CODE}\n")
    # The runner shows what is typed as a terminal does.
    assert (done.exit_code, done.stdout) == (0, f" {CODE}\n{USER}\n"), done.output


def test_a_method_that_needs_a_fresh_sign_in_asks_the_person_and_goes_on(shell: Shell) -> None:
    shell.community.asks_fresh = frozenset({"ListSessions"})
    shell("account", "login", "ada@example.org")
    done = shell("call", "ListSessions", json.dumps({"parent": USER}), typed=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["nextPageToken"] == "2"
    assert PASSWORD not in done.output
    assert shell.community.calls["Reauthenticate"] == 1
    shell.community.fresh.clear()
    done = shell("account", "confirm", typed="wrong\n")
    assert (done.exit_code, "SECOND_FACTOR_WRONG" in done.stderr) == (1, True)


def test_a_refusal_is_told_with_its_reason_and_exit_status_1(shell: Shell) -> None:
    shell("account", "login", "ada@example.org")
    shell.community.failures = [
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", 2.5, ("profile.city",))
    ]
    done = shell("call", "GetProfile", '{"name": "users/me"}')
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "palestra: INVALID_FIELD (mesh.palestra): It is INVALID_FIELD.\n"
        "  profile.city: is wrong\n  Try again in 2.5 s.\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call", "NoSuch"), "there is no method NoSuch"),
        (("call", "GetProfile", '{"nobody": 1}'), "nobody"),
        (("call", "GetProfile", "[]"), "an object is needed"),
        (("call", "GetProfile", "{"), "no JSON"),
        (("call", "GetProfile", "@/nowhere/x.json"), "no JSON"),
        (("call", "StreamTelemetry"), "is no stream of answers alone"),
        (("call",), "give a METHOD"),
    ],
)
def test_what_cannot_be_sent_is_exit_status_2(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    done = shell(*words)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not shell.community.calls


def test_a_request_comes_from_a_file_or_standard_input_too(shell: Shell, tmp_path: Path) -> None:
    shell("account", "login", "ada@example.org")
    (tmp_path / "request.json").write_text('{"name": "users/me"}')
    assert shell("call", "GetProfile", f"@{tmp_path}/request.json").exit_code == 0
    assert shell("call", "GetProfile", "-", typed='{"name": "users/me"}').exit_code == 0
    assert shell.community.calls["GetProfile"] == 2


def test_a_stream_is_lines(shell: Shell) -> None:
    shell("account", "login", "ada@example.org")
    done = shell("call", "WatchActivity", json.dumps({"name": f"{USER}/activities/1"}))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(each)) for each in lines] == ["heartbeat", "update", "ended"], done.output


def test_methods_are_listed_completed_and_described_without_an_edge() -> None:
    def asked(*words: str) -> str:
        done = CliRunner().invoke(app, ["call", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "identity     AuthService.Login\n" in asked("--list")
    assert "DeviceService" not in asked("identity", "--list")
    told = asked("RequestErasure", "--describe")
    assert told.startswith("/palestra.identity.v1.ErasureService/RequestErasure\n")
    assert "sign-in of the last" in told
    assert "  email: string  one of contact\n" in asked("Login", "--describe")


@pytest.mark.parametrize(
    ("begun", "completed"),
    [("AuthService.Log", ["AuthService.Login", "AuthService.Logout"]), ("Logi", ["Login"])],
)
def test_a_shell_completes_methods(begun: str, completed: list[str]) -> None:
    words = {
        "_PALESTRA_COMPLETE": "complete_bash",
        "COMP_WORDS": f"palestra call {begun}",
        "COMP_CWORD": "2",
    }
    done = CliRunner().invoke(app, env=words, prog_name="palestra")
    assert done.stdout.split() == completed


def test_names_are_names_and_their_files_are_nobody_elses(shell: Shell) -> None:
    done = shell("account", "login", "ada@example.org", "--as", "../ada")
    assert (done.exit_code, "--as ../ada" in done.stderr) == (1, True)
    shell("account", "login", "ada@example.org", "--as", "ada")
    file = shell.state / ".people" / "ada.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert FileTokenStore(file).load() is not None


def test_where_no_stack_runs_a_sentence_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["call", "GetProfile", "--state", str(tmp_path)])
    assert done.exit_code == 1
    assert "no stack is running" in done.stderr
