"""Scenarios of somebody who looks at another person's activities, whose home is hidden."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.load import requests
from tests.load.requests import Load, Paths
from tests.load.session import Refused
from tests.load.world import World, ask

_PATIENCE_S = 20.0


def others(path: Paths) -> Any:
    """A GET by somebody else, again and again."""

    @asynccontextmanager
    async def ready(world: World) -> AsyncIterator[Load]:
        await _hide_the_start(world)
        viewer = (await world.writer.sign_in()).access
        until = time.monotonic() + _PATIENCE_S
        while True:
            # What is seen is made when somebody first asks, and not measured.
            try:
                await ask(world.stack, "GET", path(world), token=viewer)
            except Refused:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)
            else:
                break
        again = requests.get(path, by=lambda each: each.writer)
        async with again(world) as load:
            yield load

    return ready


async def _hide_the_start(world: World) -> None:
    """The reader hides where the hour begins, once."""
    owner = (await world.reader.sign_in()).access
    zones = "/v1/users/me/privacyZones"
    found = (await ask(world.stack, "GET", zones, token=owner)).json()
    if found.get("privacyZones"):
        return
    streams = await ask(world.stack, "GET", f"/v1/{world.hour}/streams?resolution=1", token=owner)
    channels = streams.json()["channels"]
    body = {
        "displayName": "Home",
        "latitudeDeg": channels["LATITUDE"][0],
        "longitudeDeg": channels["LONGITUDE"][0],
    }
    await ask(world.stack, "POST", zones, token=owner, body=body)
