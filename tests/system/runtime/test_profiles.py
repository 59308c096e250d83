"""Profiles and goals on the real database, through the gate: who sees what; two at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sqlalchemy import select

from mesh.runtime import Servicer
from mesh.runtime.blobs import Blobs, BlobSettings
from mesh.runtime.clock import now
from mesh.runtime.ids import user_id, uuid7
from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from palestra.identity.v1 import audience_pb2, events_pb2, goal_service_pb2, profile_pb2
from palestra.identity.v1 import profile_service_pb2 as pb
from palestra.identity.v1.goal_service_pb2_grpc import GoalServiceStub
from palestra.identity.v1.profile_service_pb2_grpc import ProfileServiceStub
from palestra.training.v1 import sport_pb2
from services.identity import events
from services.identity.addresses import contacts
from services.identity.auth.store import AuthStore, NewAccount
from services.identity.goals.flow import GoalFlow
from services.identity.goals.rpc import GoalRpc
from services.identity.goals.rules import MOST_GOALS
from services.identity.goals.store import GoalStore
from services.identity.profiles.avatars import AvatarFlow
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.pictures import Pictures
from services.identity.profiles.rpc import ProfileRpc
from services.identity.profiles.rules.profile import VISIBLE
from services.identity.profiles.store import ProfileStore
from services.identity.visibility.rules import Audience, Standing, sees
from tests.support import mesh_calls
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.served import SECRET, as_edge, served, verifier_of
from tests.support.told_counters import Bus

RUNNING = sport_pb2.SPORT_RUNNING
SCOPES = ("profile.read", "profile.write")
VISIBLE_FIELDS = {"height": "height_cm"}
_TOLD = Statement(
    select(OUTBOX.c.type, OUTBOX.c.key_version, OUTBOX.c.payload).order_by(OUTBOX.c.position)
)
_ABOUT = profile_pb2.Profile(
    bio="Runs.",
    sports=[profile_pb2.PlayedSport(sport=RUNNING)],
    birth_date=Date(year=1990, month=5, day=17),
    sex=profile_pb2.SEX_FEMALE,
    height_cm=168.5,
    interests=["trails"],
    city="Perm",
)


@dataclass
class Acquaintance:
    """Relations as a test says they are."""

    standings: dict[tuple[uuid.UUID, uuid.UUID], Standing] = field(default_factory=dict)

    async def between(self, viewer: uuid.UUID | None, owner: uuid.UUID) -> Standing:
        if viewer is None:
            return Standing.STRANGER
        own = Standing.SELF if viewer == owner else Standing.STRANGER
        return self.standings.get((viewer, owner), own)

    async def filter(
        self, viewer: uuid.UUID | None, owners: Sequence[uuid.UUID], audience: Audience
    ) -> list[uuid.UUID]:
        return [each for each in owners if sees(await self.between(viewer, each), audience)]


@dataclass
class People:
    """Identity's profiles, served; people who are there, and how they call."""

    bus: Bus
    signer: Signer
    channel: grpc.aio.Channel
    relations: Acquaintance

    async def register(self, name: str = "Vera") -> uuid.UUID:
        person = user_id(0)
        address = f"{person}@example.com"
        account = NewAccount(person, uuid7(), contacts.email(address), "-", name, now())
        await AuthStore(self.bus.publisher).register(account, events.user_registered(person, name))
        return person

    def metadata(self, viewer: uuid.UUID) -> tuple[tuple[str, str], ...]:
        return as_edge(self.signer.token(viewer, SCOPES))

    async def get(self, viewer: uuid.UUID, owner: uuid.UUID) -> profile_pb2.Profile:
        answer = await ProfileServiceStub(self.channel).GetProfile(
            pb.GetProfileRequest(name=f"users/{owner}"), metadata=self.metadata(viewer)
        )
        found: profile_pb2.Profile = answer.profile
        return found

    async def update(
        self, owner: uuid.UUID, profile: profile_pb2.Profile, *paths: str
    ) -> profile_pb2.Profile:
        asked = profile_pb2.Profile()
        asked.CopyFrom(profile)
        asked.name = "users/me"
        answer = await ProfileServiceStub(self.channel).UpdateProfile(
            pb.UpdateProfileRequest(profile=asked, update_mask=FieldMask(paths=paths)),
            metadata=self.metadata(owner),
        )
        found: profile_pb2.Profile = answer.profile
        return found

    async def create(
        self, owner: uuid.UUID, request_id: str, goal: goal_service_pb2.Goal
    ) -> goal_service_pb2.Goal:
        request = goal_service_pb2.CreateGoalRequest(
            parent="users/me", request_id=request_id, goal=goal
        )
        answer = await GoalServiceStub(self.channel).CreateGoal(
            request, metadata=self.metadata(owner)
        )
        found: goal_service_pb2.Goal = answer.goal
        return found

    async def goals(
        self, viewer: uuid.UUID, owner: uuid.UUID, size: int = 0
    ) -> list[goal_service_pb2.Goal]:
        found: list[goal_service_pb2.Goal] = []
        token = ""
        for _ in range(MOST_GOALS + 1):
            request = goal_service_pb2.ListGoalsRequest(
                parent=f"users/{owner}", page_size=size, page_token=token
            )
            answer = await GoalServiceStub(self.channel).ListGoals(
                request, metadata=self.metadata(viewer)
            )
            found += answer.goals
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the pages never end")

    async def told(self) -> list[tuple[str, int, bytes]]:
        rows = await self.bus.publisher.rows(_TOLD, {})
        return [(kind.rpartition(".")[2], version, payload) for kind, version, payload in rows]


@pytest_asyncio.fixture
async def people(bus: Bus, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("p")
    signer, relations = Signer("one"), Acquaintance()
    store = ProfileStore(bus.publisher)
    flow = ProfileFlow(store, relations, now)
    blobs = Blobs("identity", BlobSettings(folder / "keys.json", f"file://{folder}/blobs"))
    servicers: list[Servicer] = [
        ProfileRpc(flow, AvatarFlow(store, blobs, Pictures(), now)),
        GoalRpc(GoalFlow(GoalStore(bus.publisher), flow, now)),
    ]
    async with (
        served(folder, "identity", servicers, verifier_of(signer), asyncio.Event()) as server,
        server.channel() as channel,
    ):
        yield People(bus, signer, channel, relations)


def shown(profile: profile_pb2.Profile) -> set[str]:
    """The fields of `VISIBLE` that are told."""
    told = {descriptor.name for descriptor, _ in profile.ListFields()}
    return {each for each in VISIBLE if VISIBLE_FIELDS.get(each, each) in told}


SEEN: Mapping[Audience, frozenset[Standing]] = {
    Audience.EVERYONE: frozenset(
        {Standing.STRANGER, Standing.REQUESTED, Standing.FOLLOWER, Standing.CLOSE_FRIEND}
    ),
    Audience.FOLLOWERS: frozenset({Standing.FOLLOWER, Standing.CLOSE_FRIEND}),
    Audience.CLOSE_FRIENDS: frozenset({Standing.CLOSE_FRIEND}),
    Audience.GROUPS: frozenset(),
    Audience.NOBODY: frozenset(),
}
"""By whom of others what is for an audience is seen, written down and not computed."""


async def test_each_viewer_sees_of_each_field_what_its_audience_lets_him(people: People) -> None:
    owner = await people.register()
    await people.update(owner, _ABOUT)
    await people.create(owner, "one", weight(60))
    viewers = {what: await people.register(what.name) for what in Standing}
    people.relations.standings |= {(viewers[what], owner): what for what in Standing}
    found: dict[tuple[str, Audience, Standing], bool] = {}
    for audience in SEEN:
        chosen = profile_pb2.ProfileVisibility()
        for each in VISIBLE:
            setattr(chosen, each, int(audience))
        await people.update(owner, profile_pb2.Profile(visibility=chosen), "visibility")
        for what in (*SEEN[Audience.EVERYONE], Standing.SELF):
            viewer = owner if what is Standing.SELF else viewers[what]
            told = shown(await people.get(viewer, owner))
            if await people.goals(viewer, owner):
                told.add("goals")
            found |= {(each, audience, what): each in told for each in VISIBLE}
    assert found == {
        (each, audience, what): what is Standing.SELF or what in SEEN[audience]
        for each, audience, what in product(
            VISIBLE, SEEN, (*SEEN[Audience.EVERYONE], Standing.SELF)
        )
    }


async def test_one_hidden_field_hides_no_other(people: People) -> None:
    owner, viewer = await people.register(), await people.register()
    await people.update(owner, _ABOUT)
    opened = dict.fromkeys(VISIBLE, audience_pb2.AUDIENCE_EVERYONE)
    for hidden in VISIBLE:
        if hidden == "goals":
            continue
        chosen = opened | {hidden: audience_pb2.AUDIENCE_NOBODY}
        visibility = profile_pb2.ProfileVisibility(**chosen)
        await people.update(owner, profile_pb2.Profile(visibility=visibility))
        assert shown(await people.get(viewer, owner)) == set(VISIBLE) - {hidden, "goals"}


async def test_who_has_chosen_nothing_shows_strangers_no_fact_and_no_place(people: People) -> None:
    owner, viewer = await people.register(), await people.register()
    await people.update(owner, _ABOUT)
    seen = await people.get(viewer, owner)
    assert shown(seen) == {"bio", "sports"}
    assert seen.display_name == "Vera"
    assert not seen.etag
    assert not seen.HasField("visibility")
    assert not seen.HasField("update_time")
    people.relations.standings[viewer, owner] = Standing.FOLLOWER
    assert shown(await people.get(viewer, owner)) == {"bio", "sports", "interests", "city"}


async def test_who_is_blocked_hears_what_he_hears_of_nobody(people: People) -> None:
    owner, viewer = await people.register(), await people.register()
    people.relations.standings[viewer, owner] = Standing.BLOCKED
    heard = []
    for name in (owner, user_id(0)):
        for ask in (people.get, people.goals):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(viewer, name)
            heard.append((refused.value.details(), reason_of(refused.value)))
    assert set(heard) == {("There is no such person.", "USER_NOT_FOUND")}


async def test_cards_come_once_in_order_without_the_blocked_and_those_who_are_not_there(
    people: People,
) -> None:
    viewer = await people.register("Me")
    anna, boris, vera = [await people.register(name) for name in ("Anna", "Boris", "Vera")]
    people.relations.standings[viewer, boris] = Standing.BLOCKED
    asked = [vera, user_id(0), anna, boris, viewer, vera]
    answer = await ProfileServiceStub(people.channel).BatchGetCards(
        pb.BatchGetCardsRequest(names=[f"users/{each}" for each in asked]),
        metadata=people.metadata(viewer),
    )
    assert [card.display_name for card in answer.cards] == ["Vera", "Anna", "Me"]


async def test_only_what_the_card_shows_is_told_and_its_versions_have_no_gap(
    people: People,
) -> None:
    owner = await people.register()
    await people.update(owner, _ABOUT)
    named = await people.update(owner, profile_pb2.Profile(display_name="Vera P."))
    await people.update(owner, profile_pb2.Profile(city="Kazan"))
    await people.update(owner, profile_pb2.Profile(display_name="Vera Q."))
    assert named.etag == "3"
    told = await people.told()
    assert [each[:2] for each in told] == [
        ("UserRegistered", 1),
        ("ProfileUpdated", 2),
        ("ProfileUpdated", 3),
    ]
    card = events_pb2.ProfileUpdated.FromString(told[-1][2]).card
    assert card == events_pb2.PublicCard(user=f"users/{owner}", display_name="Vera Q.")


async def test_updates_of_different_fields_at_once_lose_nothing(people: People) -> None:
    owner = await people.register()
    wanted = [
        profile_pb2.Profile(bio="Runs."),
        profile_pb2.Profile(city="Perm"),
        profile_pb2.Profile(sex=profile_pb2.SEX_MALE),
        profile_pb2.Profile(interests=["trails"]),
    ]
    done = await asyncio.gather(*(people.update(owner, each) for each in wanted))
    found = await people.get(owner, owner)
    assert (found.bio, found.city, found.sex, list(found.interests)) == (
        "Runs.",
        "Perm",
        profile_pb2.SEX_MALE,
        ["trails"],
    )
    assert sorted(int(each.etag) for each in done) == [2, 3, 4, 5]


async def test_of_two_updates_with_one_etag_one_is_refused(people: People) -> None:
    owner = await people.register()
    both = await asyncio.gather(
        *(people.update(owner, profile_pb2.Profile(bio=bio, etag="1")) for bio in ("a", "b")),
        return_exceptions=True,
    )
    (refused,) = [each for each in both if isinstance(each, grpc.aio.AioRpcError)]
    assert reason_of(refused) == "ETAG_MISMATCH"
    assert (await people.get(owner, owner)).etag == "2"


async def test_what_is_named_and_not_set_is_told_no_more(people: People) -> None:
    owner = await people.register()
    await people.update(owner, _ABOUT)
    empty = profile_pb2.Profile()
    left = await people.update(owner, empty, "birth_date", "sex", "height_cm", "sports", "city")
    assert shown(left) == {"bio", "interests"}
    assert left.visibility.city == audience_pb2.AUDIENCE_FOLLOWERS


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (profile_pb2.Profile(birth_date=Date(year=1990)), "BIRTH_DATE_INVALID"),
        (profile_pb2.Profile(birth_date=Date(year=1990, month=2, day=30)), "BIRTH_DATE_INVALID"),
        (profile_pb2.Profile(birth_date=Date(year=1890, month=1, day=1)), "BIRTH_DATE_INVALID"),
        (profile_pb2.Profile(birth_date=Date(year=2999, month=1, day=1)), "BIRTH_DATE_INVALID"),
        (profile_pb2.Profile(birth_date=Date(year=now().year - 9, month=1, day=1)), "TOO_YOUNG"),
        (profile_pb2.Profile(height_cm=49), "INVALID_FIELD"),
        (profile_pb2.Profile(height_cm=float("nan")), "INVALID_FIELD"),
        (profile_pb2.Profile(city="x\u202ey"), "INVALID_FIELD"),
        (profile_pb2.Profile(bio="x\u2066y"), "INVALID_FIELD"),
        (profile_pb2.Profile(bio="x\x00y"), "INVALID_FIELD"),
        (profile_pb2.Profile(interests=["  "]), "INVALID_FIELD"),
        (profile_pb2.Profile(sports=[profile_pb2.PlayedSport()]), "INVALID_FIELD"),
        (profile_pb2.Profile(sports=2 * [profile_pb2.PlayedSport(sport=RUNNING)]), "INVALID_FIELD"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    people: People, wanted: profile_pb2.Profile, reason: str
) -> None:
    owner = await people.register()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await people.update(owner, wanted)
    assert reason_of(refused.value) == reason
    assert (await people.get(owner, owner)).etag == "1"


def weight(kg: float, **more: object) -> goal_service_pb2.Goal:
    made = goal_service_pb2.Goal(weight=goal_service_pb2.WeightGoal(weight_kg=kg))
    for name, value in more.items():
        setattr(made, name, value)
    return made


async def test_each_kind_of_goal_comes_back_as_it_was_set(people: People) -> None:
    owner = await people.register()
    day = Date(year=now().year + 1, month=6, day=14)
    event = goal_service_pb2.EventGoal(
        event_name="  White  Nights ", sport=RUNNING, distance_m=42_195
    )
    distance = goal_service_pb2.DistanceGoal(
        sport=sport_pb2.SPORT_CYCLING, distance_m=100_000, period=goal_service_pb2.GOAL_PERIOD_WEEK
    )
    time = goal_service_pb2.TimeGoal(sport=RUNNING, distance_m=10_000, duration_s=2_700)
    wanted = [
        goal_service_pb2.Goal(event=event, target_date=day),
        goal_service_pb2.Goal(distance=distance, title="Every week"),
        goal_service_pb2.Goal(time=time),
        weight(60),
    ]
    for number, goal in enumerate(wanted):
        await people.create(owner, str(number), goal)
    event.event_name = "White Nights"
    wanted[0].event.CopyFrom(event)
    found = await people.goals(owner, owner, size=3)
    for goal in found:
        assert goal.state == goal_service_pb2.GOAL_STATE_ACTIVE
        for name in ("name", "state", "create_time", "update_time", "etag"):
            goal.ClearField(name)
    assert found == wanted


async def test_repeats_at_once_make_one_goal_and_a_repeat_revives_none(people: People) -> None:
    owner = await people.register()
    made = await asyncio.gather(*(people.create(owner, "a", weight(60)) for _ in range(20)))
    assert all(each == made[0] for each in made)
    assert await people.goals(owner, owner) == [made[0]]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await people.create(owner, "a", weight(61))
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"
    stub, mine = GoalServiceStub(people.channel), people.metadata(owner)
    gone = goal_service_pb2.DeleteGoalRequest(name=made[0].name)
    await asyncio.gather(*(stub.DeleteGoal(gone, metadata=mine) for _ in range(5)))
    assert await people.create(owner, "a", weight(60)) == made[0]
    assert await people.goals(owner, owner) == []


async def test_there_are_as_many_goals_as_there_may_be_however_many_are_set_at_once(
    people: People,
) -> None:
    owner = await people.register()
    answers = await asyncio.gather(
        *(people.create(owner, str(number), weight(60)) for number in range(MOST_GOALS + 20)),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {reason_of(each) for each in refused} == {"TOO_MANY_GOALS"}
    assert len(refused) == 20
    assert len(await people.goals(owner, owner)) == MOST_GOALS


async def test_a_goal_is_achieved_when_its_person_says_so_and_an_old_etag_changes_nothing(
    people: People,
) -> None:
    owner = await people.register()
    made = await people.create(owner, "a", weight(60))
    stub, mine = GoalServiceStub(people.channel), people.metadata(owner)
    achieved = goal_service_pb2.Goal(
        name=made.name, etag=made.etag, state=goal_service_pb2.GOAL_STATE_ACHIEVED
    )
    request = goal_service_pb2.UpdateGoalRequest(goal=achieved)
    done = (await stub.UpdateGoal(request, metadata=mine)).goal
    assert done.HasField("achieve_time")
    assert (await stub.UpdateGoal(request, metadata=mine)).goal == done
    renamed = goal_service_pb2.Goal(name=made.name, etag=made.etag, title="Light")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.UpdateGoal(goal_service_pb2.UpdateGoalRequest(goal=renamed), metadata=mine)
    assert reason_of(refused.value) == "ETAG_MISMATCH"
    assert await people.goals(owner, owner) == [done]


@pytest.mark.parametrize(
    "goal",
    [
        goal_service_pb2.Goal(title="Of nothing"),
        goal_service_pb2.Goal(event=goal_service_pb2.EventGoal(event_name="No day")),
        weight(10),
        weight(60, title="x\u202ey"),
        goal_service_pb2.Goal(distance=goal_service_pb2.DistanceGoal(distance_m=1)),
    ],
)
async def test_a_goal_that_says_too_little_or_too_much_is_refused(
    people: People, goal: goal_service_pb2.Goal
) -> None:
    owner = await people.register()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await people.create(owner, "a", goal)
    assert reason_of(refused.value) == "INVALID_FIELD"
    assert await people.goals(owner, owner) == []


async def test_formulas_are_told_the_facts_and_only_training_asks(people: People) -> None:
    owner = await people.register()
    await people.update(owner, _ABOUT)
    request = pb.GetAthleteFactsRequest(name=f"users/{owner}")
    stub = ProfileServiceStub(people.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetAthleteFacts(request, metadata=people.metadata(owner))
    assert reason_of(refused.value) == "CALLER_REFUSED"
    answer = await stub.GetAthleteFacts(request, metadata=mesh_calls.headers(SECRET, "training"))
    assert answer.facts == pb.AthleteFacts(
        birth_date=_ABOUT.birth_date, sex=_ABOUT.sex, height_cm=_ABOUT.height_cm
    )
