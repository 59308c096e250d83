"""A page in a real browser streams a workout: all that it can send is subprotocols."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support import browsers
from tests.support.athletes import Athlete
from tests.support.websocket_runs import stored_bpm, url

pytestmark = pytest.mark.skipif(browsers.CHROMIUM is None, reason="no Chromium on this machine")

PAGE = """
const heard = [], [url, token, said] = SETTINGS;
const socket = new WebSocket(url, ["palestra.telemetry.v1.json", "palestra.bearer." + token]);
const begun = Date.parse(said.description.startTime);
const sample = bpm => btoa(String.fromCharCode(bpm, 0, 0, 0));
socket.onopen = () => socket.send(JSON.stringify({open: said}));
socket.onmessage = frame => {
  const answer = JSON.parse(frame.data);
  heard.push(answer.error ? answer.error.message : Object.keys(answer)[0]);
  if (!answer.accepted) return;
  for (let seq = 1; seq <= 5; seq++)
    socket.send(JSON.stringify({batch: {
      seq: String(seq), firstTimeMs: String(begun + 1000 * seq),
      timeDeltasMs: "AAAAAA==", columns: [{channel: 0, values: sample(150 + seq)}]}}));
  socket.send(JSON.stringify({close: {lastSeq: "5"}}));
};
socket.onclose = end =>
  tell({protocol: socket.protocol, code: end.code, reason: end.reason, heard});
"""


async def stream(athlete: Athlete, token: str, session: str, folder: Path) -> Any:
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    described = {
        "sport": "SPORT_RUNNING",
        "startTime": start,
        "channels": [{"name": "HEART_RATE", "unit": "bpm", "scale": 1}],
    }
    said = {"session": session, "epoch": "1", "description": described}
    settings = json.dumps([url(athlete.stack), token, said])
    return await browsers.run_page(PAGE.replace("SETTINGS", settings), folder)


async def test_a_page_streams_a_workout(athlete: Athlete, tmp_path: Path) -> None:
    session = str(uuid.uuid4())
    told = await stream(athlete, athlete.token, session, tmp_path)
    assert (told["protocol"], told["code"]) == ("palestra.telemetry.v1.json", 1000), told
    assert (told["heard"][0], told["heard"][-1]) == ("accepted", "closed")
    activity = f"{athlete.user}/activities/{session}"
    assert stored_bpm(athlete, activity) == [151, 152, 153, 154, 155]


async def test_a_page_with_a_bad_token_opens_nothing(athlete: Athlete, tmp_path: Path) -> None:
    told = await stream(athlete, "a.b.c", str(uuid.uuid4()), tmp_path)
    assert (told["code"], told["heard"]) == (1006, [])
