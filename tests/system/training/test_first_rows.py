"""Activities of the first release are read and listed after every migration since."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from mesh.runtime.clock import now
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from tests.support import first_rows
from tests.support.made_tokens import Signer
from tests.support.stores import Stores
from tests.support.training_athlete import Athlete, activities
from tests.support.training_worker import TRAINING, Worker, prepare, worker


@pytest.fixture
async def old(running_stores: Stores, tmp_path: Path, runner: Athlete) -> activity_pb2.Activity:
    """A run of before, under the tables of today."""
    running_stores.clear((TRAINING,))
    url = running_stores.database_url(TRAINING)
    await asyncio.to_thread(first_rows.back_to_first, url, TRAINING, tmp_path)
    with psycopg.connect(url, autocommit=True) as connection:
        told = first_rows.activity(connection, runner.id, now() - timedelta(days=40))
    await prepare(running_stores)
    return told


@pytest.fixture
async def today(
    folder: Path, running_stores: Stores, signer: Signer, old: activity_pb2.Activity
) -> AsyncIterator[Worker]:
    assert old.name
    async with worker(folder, running_stores, signer, 1) as made:
        yield made


async def test_an_old_activity_is_read_and_listed_as_it_was(
    today: Worker, runner: Athlete, old: activity_pb2.Activity
) -> None:
    read = await activities(today).GetActivity(
        pb.GetActivityRequest(name=old.name), metadata=runner.metadata
    )
    listed = await activities(today).ListActivities(
        pb.ListActivitiesRequest(parent=runner.name), metadata=runner.metadata
    )
    assert [each.name for each in listed.activities] == [old.name]
    for found in (read.activity, listed.activities[0]):
        assert (found.title, found.sport, found.etag) == (old.title, old.sport, old.etag)
        assert found.summary == old.summary
        assert found.start_time == old.start_time


async def test_an_old_activity_can_be_corrected(
    today: Worker, runner: Athlete, old: activity_pb2.Activity
) -> None:
    request = pb.UpdateActivityRequest(
        activity=activity_pb2.Activity(name=old.name, title="Evening run", etag=old.etag)
    )
    request.update_mask.paths.append("title")
    changed = await activities(today).UpdateActivity(request, metadata=runner.metadata)
    assert changed.activity.title == "Evening run"
    assert changed.activity.summary == old.summary
