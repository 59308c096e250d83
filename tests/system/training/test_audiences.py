"""For whom an activity is: fixed as it ends, mended where identity was away, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import bindparam, select

from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from palestra.training.v1 import activity_pb2, events_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_pb2 import (
    ACTIVITY_AUDIENCE_CLOSE_FRIENDS,
    ACTIVITY_AUDIENCE_EVERYONE,
    ACTIVITY_AUDIENCE_FOLLOWERS,
    ACTIVITY_AUDIENCE_NOBODY,
    ACTIVITY_AUDIENCE_UNSPECIFIED,
)
from tests.support.made_tokens import Signer
from tests.support.owners import Owners
from tests.support.recorded_sessions import Recorded
from tests.support.stores import Stores
from tests.support.tracker_line import batches, line, opening
from tests.support.training_athlete import Athlete, activities, athlete, events_of
from tests.support.training_worker import Worker, worker
from tests.system.training.test_activities import finished, recorded

FOLLOWERS, EVERYONE = ACTIVITY_AUDIENCE_FOLLOWERS, ACTIVITY_AUDIENCE_EVERYONE
NOBODY, UNKNOWN = ACTIVITY_AUDIENCE_NOBODY, ACTIVITY_AUDIENCE_UNSPECIFIED
_TOLD = Statement(
    select(OUTBOX.c.type, OUTBOX.c.payload)
    .where(OUTBOX.c.key == bindparam("of_key"))
    .order_by(OUTBOX.c.position)
)


@pytest.fixture
def owners() -> Owners:
    return Owners()


@pytest.fixture
async def one(
    folder: Path, stores: Stores, signer: Signer, owners: Owners
) -> AsyncIterator[Worker]:
    async with worker(folder, stores, signer, 1, others=owners.mesh) as made:
        yield made


@pytest.fixture
async def other(
    folder: Path, stores: Stores, signer: Signer, owners: Owners
) -> AsyncIterator[Worker]:
    async with worker(folder, stores, signer, 2, others=owners.mesh) as made:
        yield made


async def decide(worker: Worker) -> None:
    """What the job does by the clock."""
    (job,) = (each for each in worker.parts.jobs if each.name == "decide audiences")
    await job.run()


async def set_audience(
    worker: Worker,
    person: Athlete,
    session: Recorded,
    audience: activity_pb2.ActivityAudience.ValueType,
) -> activity_pb2.Activity:
    request = pb.UpdateActivityRequest(
        activity=activity_pb2.Activity(name=session.activity, audience=audience),
        update_mask=FieldMask(paths=["audience"]),
    )
    answer = await activities(worker).UpdateActivity(request, metadata=person.metadata)
    return answer.activity


async def audiences_told(worker: Worker, session: Recorded) -> list[int]:
    """For whom it was, by each of its events."""
    rows = await worker.database.rows(_TOLD, {"of_key": session.activity})
    kinds = {
        each.DESCRIPTOR.full_name: each
        for each in (events_pb2.ActivityRecorded, events_pb2.ActivityCorrected)
    }
    return [int(kinds[kind].FromString(payload).audience) for kind, payload in rows]


async def test_it_is_for_whom_its_owner_said_when_it_ends(
    one: Worker, runner: Athlete, signer: Signer, owners: Owners
) -> None:
    stranger = athlete(signer)
    owners.defaults[runner.id] = FOLLOWERS
    session, theirs = recorded(runner), recorded(stranger)
    await finished(one, [session, theirs])
    # A change of mind is for what comes.
    owners.defaults[runner.id] = EVERYONE
    await decide(one)
    assert (await runner.activity(one, session)).audience == FOLLOWERS
    assert (await stranger.activity(one, theirs)).audience == NOBODY
    assert await audiences_told(one, session) == [FOLLOWERS]


async def test_what_was_said_while_it_was_live_is_not_overwritten_by_the_default(
    one: Worker, runner: Athlete, owners: Owners
) -> None:
    owners.defaults[runner.id] = EVERYONE
    session = recorded(runner)
    async with line(one.channel) as tracker:
        await tracker.send(opening(session), *batches(session))
        await tracker.until(lambda: any(each.acknowledged_seq == 2 for each in tracker.of(session)))
    assert (await set_audience(one, runner, session, NOBODY)).audience == NOBODY
    await finished(one, [session])
    assert (await runner.activity(one, session)).audience == NOBODY
    assert owners.asked == []


async def test_what_ends_while_identity_is_away_is_its_owners_until_it_is_back(
    one: Worker, other: Worker, runner: Athlete, owners: Owners
) -> None:
    owners.away = True
    owners.defaults[runner.id] = FOLLOWERS
    sessions = [recorded(runner, day) for day in range(3)]
    await finished(one, sessions)
    await decide(one)
    assert [(await runner.activity(one, each)).audience for each in sessions] == [UNKNOWN] * 3
    chosen = await set_audience(one, runner, sessions[0], NOBODY)
    owners.away = False
    # Two do it at once, as after a lease that changed hands; and again.
    await asyncio.gather(decide(one), decide(other))
    await decide(one)
    found = [await runner.activity(one, each) for each in sessions]
    assert [each.audience for each in found] == [NOBODY, FOLLOWERS, FOLLOWERS]
    assert found[0].etag == chosen.etag
    assert await audiences_told(one, sessions[0]) == [UNKNOWN, NOBODY]
    assert await audiences_told(one, sessions[1]) == [UNKNOWN, FOLLOWERS]
    assert [version for _, version in await events_of(one, sessions[1].activity)] == [1, 2]


async def test_one_whose_owner_is_not_there_any_more_is_for_nobody_and_holds_up_nobody(
    one: Worker, runner: Athlete, signer: Signer, owners: Owners
) -> None:
    owners.away = True
    people = [runner, *(athlete(signer) for _ in range(3))]
    sessions = [recorded(each) for each in people]
    await finished(one, sessions)
    owners.away, owners.default = False, EVERYONE
    owners.unknown.add(runner.id)
    await decide(one)
    found = [
        (await who.activity(one, each)).audience for who, each in zip(people, sessions, strict=True)
    ]
    assert found == [NOBODY, EVERYONE, EVERYONE, EVERYONE]


async def test_a_deletion_meanwhile_is_no_obstacle(
    one: Worker, runner: Athlete, owners: Owners
) -> None:
    owners.away = True
    session = recorded(runner)
    await finished(one, [session])
    owners.away, owners.default = False, EVERYONE
    request = pb.DeleteActivityRequest(name=session.activity)
    await asyncio.gather(
        decide(one), activities(one).DeleteActivity(request, metadata=runner.metadata)
    )
    await decide(one)
    kinds = [kind for kind, _ in await events_of(one, session.activity)]
    assert kinds[-1] == "ActivityDeleted"


async def test_changes_at_once_end_in_one_of_them_and_each_was_told(
    one: Worker, other: Worker, runner: Athlete
) -> None:
    session = recorded(runner)
    await finished(one, [session])
    wanted = [EVERYONE, FOLLOWERS, ACTIVITY_AUDIENCE_CLOSE_FRIENDS]
    await asyncio.gather(
        *(
            set_audience(worker, runner, session, each)
            for worker, each in zip((one, other, one), wanted, strict=True)
        )
    )
    told = await audiences_told(one, session)
    assert sorted(told) == sorted([NOBODY, *wanted])
    assert (await runner.activity(one, session)).audience == told[-1]
