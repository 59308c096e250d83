"""Settings and privacy zones on the real database, through the gate: usual, chosen, told of."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.type import dayofweek_pb2
from sqlalchemy import select

from mesh.runtime import Servicer
from mesh.runtime.clock import now
from mesh.runtime.ids import user_id, uuid7
from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from palestra.identity.v1 import audience_pb2, events_pb2, settings_pb2
from palestra.identity.v1 import privacy_zone_service_pb2 as zone_pb
from palestra.identity.v1 import settings_service_pb2 as pb
from palestra.identity.v1.privacy_zone_service_pb2_grpc import PrivacyZoneServiceStub
from palestra.identity.v1.settings_service_pb2_grpc import SettingsServiceStub
from services.identity import events
from services.identity.addresses import contacts
from services.identity.auth.store import AuthStore, NewAccount
from services.identity.letters.rules import Kind, Waiting
from services.identity.letters.store import LetterStore
from services.identity.profiles.rules import UserNotFound
from services.identity.settings.flow import SettingsFlow
from services.identity.settings.rpc import SettingsRpc
from services.identity.settings.rules.settings import Settings
from services.identity.settings.store import SettingsStore
from services.identity.zones.flow import ZoneFlow
from services.identity.zones.rpc import ZoneRpc
from services.identity.zones.rules import MOST_ZONES, REMEMBER_DELETED
from services.identity.zones.store import ZoneStore
from tests.support import mesh_calls
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.places import apart_m
from tests.support.served import SECRET, as_edge, served, verifier_of
from tests.support.told_counters import Bus

if TYPE_CHECKING:
    # Of the stubs alone: there is no such class when the test runs.
    from palestra.identity.v1.privacy_zone_service_pb2_grpc import PrivacyZoneServiceAsyncStub
    from palestra.identity.v1.settings_service_pb2_grpc import SettingsServiceAsyncStub

SCOPES = ("settings.read", "settings.write")
SOCIAL = settings_pb2.NOTIFICATION_KIND_SOCIAL
SECURITY = settings_pb2.NOTIFICATION_KIND_SECURITY
_TOLD = Statement(
    select(OUTBOX.c.key_version, OUTBOX.c.key, OUTBOX.c.payload)
    .where(OUTBOX.c.type == events_pb2.SettingsChanged.DESCRIPTOR.full_name)
    .order_by(OUTBOX.c.position)
)


@dataclass
class Person:
    """A person with an account, and what he asks."""

    id: uuid.UUID
    bus: Bus
    metadata: tuple[tuple[str, str], ...]
    settings: SettingsServiceAsyncStub
    zones: PrivacyZoneServiceAsyncStub

    async def get(self) -> settings_pb2.Settings:
        request = pb.GetSettingsRequest(name="users/me/settings")
        answer = await self.settings.GetSettings(request, metadata=self.metadata)
        return answer.settings

    async def update(self, wanted: settings_pb2.Settings, *paths: str) -> settings_pb2.Settings:
        asked = settings_pb2.Settings()
        asked.CopyFrom(wanted)
        asked.name = "users/me/settings"
        request = pb.UpdateSettingsRequest(settings=asked, update_mask=FieldMask(paths=paths))
        answer = await self.settings.UpdateSettings(request, metadata=self.metadata)
        return answer.settings

    async def create(self, request_id: str, zone: zone_pb.PrivacyZone) -> zone_pb.PrivacyZone:
        request = zone_pb.CreatePrivacyZoneRequest(
            parent="users/me", request_id=request_id, privacy_zone=zone
        )
        answer = await self.zones.CreatePrivacyZone(request, metadata=self.metadata)
        return answer.privacy_zone

    async def listed(self) -> list[zone_pb.PrivacyZone]:
        request = zone_pb.ListPrivacyZonesRequest(parent="users/me")
        answer = await self.zones.ListPrivacyZones(request, metadata=self.metadata)
        return list(answer.privacy_zones)

    async def delete(self, zone: zone_pb.PrivacyZone) -> None:
        request = zone_pb.DeletePrivacyZoneRequest(name=zone.name)
        await self.zones.DeletePrivacyZone(request, metadata=self.metadata)

    async def choices(self) -> pb.GetNotificationChoicesResponse:
        """What a service is answered that would tell him something."""
        request = pb.GetNotificationChoicesRequest(name=f"users/{self.id}")
        metadata = mesh_calls.headers(SECRET, "training")
        return await self.settings.GetNotificationChoices(request, metadata=metadata)

    async def kept(self, caller: str = "training") -> zone_pb.GetPrivacyZonesResponse:
        """What training is answered."""
        request = zone_pb.GetPrivacyZonesRequest(name=f"users/{self.id}")
        metadata = mesh_calls.headers(SECRET, caller)
        return await self.zones.GetPrivacyZones(request, metadata=metadata)

    async def told(self) -> list[int]:
        """The versions of what was told, which say nothing else than whose it is."""
        rows = await self.bus.publisher.rows(_TOLD, {})
        for _, key, payload in rows:
            assert key == f"users/{self.id}/settings"
            expected = events_pb2.SettingsChanged(user=f"users/{self.id}")
            assert events_pb2.SettingsChanged.FromString(payload) == expected
        return [version for version, _, _ in rows]


@pytest.fixture
def language() -> str:
    """What the person registers with."""
    return ""


@pytest_asyncio.fixture
async def person(
    bus: Bus, language: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Person]:
    folder = tmp_path_factory.mktemp("s")
    signer = Signer("one")
    made = user_id(0)
    address = f"{made}@example.com"
    account = NewAccount(made, uuid7(), contacts.email(address), "-", "Vera", now(), language, "")
    await AuthStore(bus.publisher).register(account, events.user_registered(made, "Vera"))
    servicers: list[Servicer] = [
        SettingsRpc(SettingsFlow(SettingsStore(bus.publisher), now)),
        ZoneRpc(ZoneFlow(ZoneStore(bus.publisher), now)),
    ]
    async with (
        served(folder, "identity", servicers, verifier_of(signer), asyncio.Event()) as server,
        server.channel() as channel,
    ):
        yield Person(
            made,
            bus,
            as_edge(signer.token(made, SCOPES)),
            SettingsServiceStub(channel),
            PrivacyZoneServiceStub(channel),
        )


def place(radius_m: int = 0, **more: object) -> zone_pb.PrivacyZone:
    made = zone_pb.PrivacyZone(latitude_deg=59.93, longitude_deg=30.31, radius_m=radius_m)
    for name, value in more.items():
        setattr(made, name, value)
    return made


async def test_who_never_chose_has_what_is_usual_and_nobody_was_told(person: Person) -> None:
    found = await person.get()
    assert (found.language, found.time_zone, found.etag) == ("en", "UTC", "0")
    assert found.units == settings_pb2.Units(system=settings_pb2.UNIT_SYSTEM_METRIC)
    assert found.theme == settings_pb2.THEME_SYSTEM
    assert found.first_day_of_week == dayofweek_pb2.MONDAY
    assert found.default_activity_audience == audience_pb2.AUDIENCE_NOBODY
    assert not found.HasField("quiet_hours")
    assert len(found.notifications) == len(settings_pb2.NotificationKind.keys()) - 1
    assert await person.told() == []


@pytest.mark.parametrize("language", ["ru"])
async def test_what_is_usual_follows_the_language_of_the_registration(person: Person) -> None:
    found = await person.get()
    assert (found.language, found.time_zone) == ("ru-RU", "Europe/Moscow")


async def test_what_was_chosen_is_kept_and_the_language_brings_what_is_usual_with_it(
    person: Person,
) -> None:
    wanted = settings_pb2.Settings(language="EN-us", theme=settings_pb2.THEME_DARK)
    wanted.quiet_hours.from_minute, wanted.quiet_hours.to_minute = 23 * 60, 7 * 60
    wanted.quiet_hours.days.extend([dayofweek_pb2.SUNDAY, dayofweek_pb2.MONDAY])
    done = await person.update(wanted)
    assert await person.get() == done
    assert (done.language, done.theme) == ("en-US", settings_pb2.THEME_DARK)
    assert done.units.system == settings_pb2.UNIT_SYSTEM_IMPERIAL
    assert done.first_day_of_week == dayofweek_pb2.SUNDAY
    assert list(done.quiet_hours.days) == [dayofweek_pb2.MONDAY, dayofweek_pb2.SUNDAY]
    back = await person.update(settings_pb2.Settings(), "language", "quiet_hours")
    assert (back.language, back.theme) == ("en", settings_pb2.THEME_DARK)
    assert not back.HasField("quiet_hours")
    assert await person.told() == [1, 2]


async def test_what_is_read_and_sent_back_changes_only_what_was_usual_into_chosen(
    person: Person,
) -> None:
    first = await person.get()
    again = await person.update(first)
    assert await person.update(again) == again
    for each in (first, again):
        each.ClearField("etag")
        each.ClearField("update_time")
    assert again == first


async def test_a_kind_that_is_not_named_keeps_its_channels(person: Person) -> None:
    one = settings_pb2.NotificationChoice(kind=SOCIAL, sms=True)
    two = settings_pb2.NotificationChoice(kind=settings_pb2.NOTIFICATION_KIND_GROUPS)
    await person.update(settings_pb2.Settings(notifications=[one]))
    await person.update(settings_pb2.Settings(notifications=[two]), "notifications")
    found = {each.kind: each for each in (await person.choices()).choices}
    assert found[SOCIAL] == one
    assert found[two.kind] == two
    assert found[SECURITY] == settings_pb2.NotificationChoice(kind=SECURITY, push=True, email=True)
    assert not found[settings_pb2.NOTIFICATION_KIND_MARKETING].email


async def test_whoever_notifies_is_told_what_he_has_to_keep_to(person: Person) -> None:
    quiet = settings_pb2.QuietHours(from_minute=1380, to_minute=420)
    await person.update(
        settings_pb2.Settings(language="ru", time_zone="Asia/Omsk", quiet_hours=quiet)
    )
    found = await person.choices()
    assert (found.language, found.time_zone, found.version) == ("ru", "Asia/Omsk", 1)
    assert found.quiet_hours == quiet


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (settings_pb2.Settings(language="de"), "LANGUAGE_UNSUPPORTED"),
        (settings_pb2.Settings(language="russian please"), "LANGUAGE_UNSUPPORTED"),
        (settings_pb2.Settings(time_zone="Europe/Atlantis"), "TIME_ZONE_UNKNOWN"),
        (settings_pb2.Settings(time_zone="../../etc/passwd"), "TIME_ZONE_UNKNOWN"),
        (settings_pb2.Settings(time_zone="Factory"), "TIME_ZONE_UNKNOWN"),
        (
            settings_pb2.Settings(
                notifications=[settings_pb2.NotificationChoice(kind=SECURITY, push=True, sms=True)]
            ),
            "NOTIFICATION_MANDATORY",
        ),
        (
            settings_pb2.Settings(
                notifications=2 * [settings_pb2.NotificationChoice(kind=SOCIAL, push=True)]
            ),
            "INVALID_FIELD",
        ),
        (
            settings_pb2.Settings(
                quiet_hours=settings_pb2.QuietHours(from_minute=60, to_minute=60)
            ),
            "INVALID_FIELD",
        ),
        (
            settings_pb2.Settings(quiet_hours=settings_pb2.QuietHours(to_minute=1440)),
            "INVALID_FIELD",
        ),
        (
            settings_pb2.Settings(default_activity_audience=audience_pb2.AUDIENCE_GROUPS),
            "INVALID_FIELD",
        ),
    ],
)
async def test_what_cannot_be_chosen_is_refused_and_nobody_is_told(
    person: Person, wanted: settings_pb2.Settings, reason: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.update(wanted)
    assert reason_of(refused.value) == reason
    assert (await person.get()).etag == "0"
    assert await person.told() == []


async def test_first_choices_and_zones_at_once_lose_nothing_and_are_told_without_a_gap(
    person: Person,
) -> None:
    await asyncio.gather(
        person.update(settings_pb2.Settings(theme=settings_pb2.THEME_DARK)),
        person.update(settings_pb2.Settings(time_zone="Asia/Omsk")),
        person.update(settings_pb2.Settings(language="ru")),
        *(person.create(str(number), place()) for number in range(3)),
    )
    found = await person.get()
    assert (found.theme, found.time_zone, found.language) == (
        settings_pb2.THEME_DARK,
        "Asia/Omsk",
        "ru",
    )
    assert found.etag == "3"
    assert sorted(await person.told()) == [1, 2, 3, 4, 5, 6]
    assert (await person.choices()).version == 6


async def test_of_two_first_choices_with_one_etag_one_is_refused(person: Person) -> None:
    both = await asyncio.gather(
        *(person.update(settings_pb2.Settings(language=tag, etag="0")) for tag in ("ru", "en-GB")),
        return_exceptions=True,
    )
    (refused,) = [each for each in both if isinstance(each, grpc.aio.AioRpcError)]
    assert reason_of(refused) == "ETAG_MISMATCH"
    assert await person.told() == [1]


async def test_zones_are_told_to_training_alone_and_as_circles(person: Person) -> None:
    made = await person.create("home", place(display_name=" My  home "))
    assert (made.display_name, made.radius_m) == ("My home", 400)
    found = await person.kept()
    (circle,) = found.circles
    found_m = apart_m((59.93, 30.31), (circle.latitude_deg, circle.longitude_deg))
    assert 400 < found_m + 400 <= circle.radius_m <= 601
    assert found.version == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.kept("integration")
    assert reason_of(refused.value) == "CALLER_REFUSED"


async def test_repeats_at_once_make_one_zone_and_a_repeat_revives_none(person: Person) -> None:
    made = await asyncio.gather(*(person.create("a", place(200)) for _ in range(20)))
    assert all(each == made[0] for each in made)
    assert await person.told() == [1]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.create("a", place(300))
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"
    await asyncio.gather(*(person.delete(made[0]) for _ in range(10)))
    assert await person.told() == [1, 2]
    assert await person.create("a", place(200)) == made[0]
    assert await person.listed() == []
    assert (await person.kept()).circles == []


async def test_there_are_as_many_zones_as_there_may_be_however_many_come_at_once(
    person: Person,
) -> None:
    answers = await asyncio.gather(
        *(person.create(str(number), place()) for number in range(MOST_ZONES + 5)),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {reason_of(each) for each in refused} == {"TOO_MANY_PRIVACY_ZONES"}
    assert len(refused) == 5
    assert len(await person.listed()) == MOST_ZONES
    await person.delete((await person.listed())[0])
    await person.create("one more", place())


async def test_a_zone_is_moved_and_an_old_etag_moves_nothing(person: Person) -> None:
    made = await person.create("a", place(200))
    moved = zone_pb.PrivacyZone(name=made.name, etag=made.etag, latitude_deg=0)
    request = zone_pb.UpdatePrivacyZoneRequest(privacy_zone=moved)
    done = (await person.zones.UpdatePrivacyZone(request, metadata=person.metadata)).privacy_zone
    assert (done.latitude_deg, done.longitude_deg, done.radius_m) == (0, 30.31, 200)
    request.privacy_zone.latitude_deg = 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.zones.UpdatePrivacyZone(request, metadata=person.metadata)
    assert reason_of(refused.value) == "ETAG_MISMATCH"
    assert await person.told() == [1, 2]


@pytest.mark.parametrize(
    "zone",
    [
        zone_pb.PrivacyZone(),
        zone_pb.PrivacyZone(latitude_deg=1),
        zone_pb.PrivacyZone(latitude_deg=91, longitude_deg=0),
        zone_pb.PrivacyZone(latitude_deg=0, longitude_deg=float("nan")),
        place(99),
        place(2001),
        place(display_name="x\u202ey"),
    ],
)
async def test_a_zone_that_cannot_be_is_refused(person: Person, zone: zone_pb.PrivacyZone) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.create("a", zone)
    assert reason_of(refused.value) == "INVALID_FIELD"
    assert await person.listed() == []


async def test_what_is_left_of_deleted_zones_goes_when_its_time_is_over(person: Person) -> None:
    made = await person.create("a", place())
    await person.delete(made)
    store = ZoneStore(person.bus.publisher)
    await ZoneFlow(store, now).forget()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.delete(zone_pb.PrivacyZone(name=made.name[:-1] + "f0"[made.name[-1] == "f"]))
    assert reason_of(refused.value) == "PRIVACY_ZONE_NOT_FOUND"
    await person.delete(made)
    later = now() + REMEMBER_DELETED
    await ZoneFlow(store, lambda: later).forget()
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await person.delete(made)
    assert reason_of(gone.value) == "PRIVACY_ZONE_NOT_FOUND"


@pytest.mark.parametrize("language", ["en-GB"])
async def test_letters_are_written_in_the_language_that_was_chosen_last(person: Person) -> None:
    letters = LetterStore(person.bus.publisher)
    letter = Waiting(person.id, uuid7(), Kind.ADDRESS_ADDED, None, {}, 1)
    before = await letters.addressee(letter)
    await person.update(settings_pb2.Settings(theme=settings_pb2.THEME_DARK))
    between = await letters.addressee(letter)
    await person.update(settings_pb2.Settings(language="ru"))
    after = await letters.addressee(letter)
    found = [each.language for each in (before, between, after) if each is not None]
    assert found == ["en-GB", "en-GB", "ru"]


async def test_who_is_not_there_has_no_settings_and_makes_no_row(person: Person) -> None:
    store = SettingsStore(person.bus.publisher)
    nobody = user_id(0)
    wanted = Settings(nobody, theme=2)
    with pytest.raises(UserNotFound):
        await SettingsFlow(store, now).update(nobody, wanted, {"theme"}, "")
    made = replace(wanted, version=1, updated_at=now())
    assert not await store.save(made, events.settings_changed(nobody))
    assert await person.told() == []


async def test_a_zone_that_is_made_again_is_covered_as_before(person: Person) -> None:
    made = await person.create("a", place(400))
    before = await person.kept()
    await person.delete(made)
    await person.create("b", place(1_000))
    after = await person.kept()
    (narrow,), (wide,) = before.circles, after.circles
    assert (narrow.latitude_deg, narrow.longitude_deg) == (wide.latitude_deg, wide.longitude_deg)
    assert wide.radius_m - narrow.radius_m == 600


async def test_training_is_told_for_whom_activities_are_that_say_nothing(person: Person) -> None:
    request = pb.GetActivityDefaultsRequest(name=f"users/{person.id}")
    training = mesh_calls.headers(SECRET, "training")
    found = await person.settings.GetActivityDefaults(request, metadata=training)
    assert found == pb.GetActivityDefaultsResponse(audience=audience_pb2.AUDIENCE_NOBODY, version=0)
    wanted = settings_pb2.Settings(default_activity_audience=audience_pb2.AUDIENCE_FOLLOWERS)
    await person.update(wanted, "default_activity_audience")
    found = await person.settings.GetActivityDefaults(request, metadata=training)
    assert found == pb.GetActivityDefaultsResponse(
        audience=audience_pb2.AUDIENCE_FOLLOWERS, version=1
    )
    elsewhere = mesh_calls.headers(SECRET, "integration")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.settings.GetActivityDefaults(request, metadata=elsewhere)
    assert reason_of(refused.value) == "CALLER_REFUSED"
