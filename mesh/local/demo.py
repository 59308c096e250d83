"""The demo: an athlete signs up, a watch sends a workout, and REST tells what became of it.

Talks to the stack as anybody outside does: through the edge only. Owns no rule.
"""

from __future__ import annotations

import secrets
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

WORKOUT_S = 1800
SPEED = 150.0
_SHOWN = ("HEART_RATE", "POWER", "CADENCE", "SPEED", "TEMPERATURE")
_PATIENCE_S = 10.0


class DemoFailed(Exception):
    """Something did not go as it should; says what."""


def play(stack: dict[str, Any], console: Console, file: Path | None, state: Path) -> None:
    """Plays the demo against a running stack.

    `file` is a recorded FIT file; without one, a synthetic athlete runs for half an hour.

    Raises:
        DemoFailed: an answer was not the expected one, or the workout did not arrive whole.
    """
    trusted = ssl.create_default_context(cafile=stack["ca"]) if "ca" in stack else True
    with httpx.Client(base_url=stack["rest_url"], timeout=_PATIENCE_S, verify=trusted) as rest:
        session = _register(rest, console)
        rest.headers["authorization"] = f"Bearer {session['accessToken']}"
        _send_workout(stack, session, console, file, state)
        activity = _newest(rest)
        _show(rest, activity, console)
    _invite(stack, session, activity, console)


def _get(rest: httpx.Client, path: str, **query: str | int) -> dict[str, Any]:
    answer = rest.get(path, params=query)
    if answer.status_code != httpx.codes.OK:
        raise DemoFailed(f"GET {path} answered {answer.status_code}: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found


def _register(rest: httpx.Client, console: Console) -> dict[str, Any]:
    athlete = {
        "email": f"athlete-{secrets.token_hex(4)}@example.com",
        "password": secrets.token_urlsafe(12),
        "displayName": "Vera",
    }
    answer = rest.post("/v1/auth:register", json=athlete)
    if answer.status_code != httpx.codes.OK:
        raise DemoFailed(f"registration answered {answer.status_code}: {answer.text}")
    console.print(f"[bold]1[/] {athlete['displayName']} signs up: {athlete['email']}")
    session: dict[str, Any] = answer.json()
    # The edge learns a new stack's keys within moments; the first call waits for that.
    deadline = time.monotonic() + _PATIENCE_S
    headers = {"authorization": f"Bearer {session['accessToken']}"}
    while rest.get("/v1/users/me", headers=headers).status_code != httpx.codes.OK:
        if time.monotonic() > deadline:
            raise DemoFailed("the edge does not take the new access token")
        time.sleep(0.1)
    return session


def _send_workout(
    stack: dict[str, Any],
    session: dict[str, Any],
    console: Console,
    file: Path | None,
    state: Path,
) -> None:
    console.print("[bold]2[/] Her watch sends a workout, live, at speed:")
    what = ["replay", str(file)] if file else ["simulate", f"--duration={WORKOUT_S}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "palestra_watch", *what),
            *("--target", stack["grpc_target"]),
            *(("--ca", stack["ca"]) if "ca" in stack else ()),
            *("--token", session["accessToken"], "--refresh-token", session["refreshToken"]),
            *("--state", str(state / "watch"), "--speed", str(SPEED)),
        ],
        check=False,
    )
    if done.returncode != 0:
        raise DemoFailed("the watch could not deliver the workout")


def _newest(rest: httpx.Client) -> dict[str, Any]:
    activities = _get(rest, "/v1/users/me/activities", pageSize=1).get("activities", [])
    if not activities:
        raise DemoFailed("the workout is not among the athlete's activities")
    activity: dict[str, Any] = activities[0]
    return activity


def _show(rest: httpx.Client, activity: dict[str, Any], console: Console) -> None:
    console.print("[bold]3[/] What Palestra made of it, over REST:")
    summary = activity["summary"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("sport", activity["sport"].removeprefix("SPORT_").lower())
    for name, unit in (("distanceM", "m"), ("movingS", "s"), ("ascentM", "m")):
        if name in summary:
            table.add_row(name.rstrip("MS"), f"{summary[name]:.0f} {unit}")
    for channel in summary.get("channels", []):
        if channel["channel"] not in _SHOWN:
            continue
        table.add_row(
            channel["channel"].lower().replace("_", " "),
            f"{channel.get('average', 0):.1f} {channel.get('unit', '')} on average,"
            f" {channel.get('max', 0):.1f} at most",
        )
    table.add_row("laps", str(len(summary.get("laps", []))))
    streams = _get(rest, f"/v1/{activity['name']}/streams", channels="HEART_RATE", resolution=0)
    table.add_row("heart rate samples", str(len(streams["timeMs"])))
    table.add_row("progress", _progress(rest))
    console.print(table)


def _progress(rest: httpx.Client) -> str:
    """The week's total; it follows the activity by an event, so it may take a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        progress = _get(rest, "/v1/users/me/progress")["progress"]
        totals = progress.get("totals", [])
        if totals:
            last = totals[-1]
            return f"{last['activityCount']} activity, {last['distanceM']:.0f} m this week"
        time.sleep(0.1)
    raise DemoFailed("the activity does not count towards progress")


def _invite(
    stack: dict[str, Any],
    session: dict[str, Any],
    activity: dict[str, Any],
    console: Console,
) -> None:
    url = stack["rest_url"]
    trust = f"--cacert '{stack['ca']}' " if "ca" in stack else ""
    console.print("[bold]4[/] Try it yourself:")
    console.print(f"TOKEN={session['accessToken']}", soft_wrap=True, highlight=False)
    for path in ("users/me", activity["name"], f"{activity['name']}/streams?channels=POWER"):
        console.print(
            f"curl {trust}-H \"Authorization: Bearer $TOKEN\" '{url}/v1/{path}'",
            soft_wrap=True,
            highlight=False,
        )
    console.print(f"REST {url}   gRPC {stack['grpc_target']}   Ctrl-C drains and stops.")
