"""Devices through the gate and against a real PostgreSQL: repeats, races, bounds."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from mesh.runtime.clock import now
from mesh.runtime.ids import user_id
from mesh.runtime.sql import Database
from palestra.integration.v1 import device_service_pb2 as pb
from palestra.integration.v1.device_service_pb2_grpc import DeviceServiceStub
from services.integration.devices.flow import DeviceFlow
from services.integration.devices.rpc import DeviceRpc
from services.integration.devices.rules import MOST_DEVICES, REMEMBER_DELETED
from services.integration.devices.store import DeviceStore
from tests.support.grpc_errors import reason_of
from tests.support.made_tokens import Signer
from tests.support.served import as_edge, served, verifier_of

if TYPE_CHECKING:
    from palestra.integration.v1.device_service_pb2_grpc import DeviceServiceAsyncStub

SCOPES = ("devices.read", "devices.write")
CALLS_AT_ONCE = 20


class Person:
    """Somebody who calls DeviceService."""

    def __init__(self, stub: DeviceServiceAsyncStub, signer: Signer) -> None:
        self._stub = stub
        self.id = user_id(0)
        self.name = f"users/{self.id}"
        self._metadata = as_edge(signer.token(self.id, SCOPES))

    async def register(self, request_id: str, name: str = "Watch") -> pb.Device:
        device = pb.Device(display_name=name, kind=pb.DEVICE_KIND_WATCH, serial_number="7")
        request = pb.RegisterDeviceRequest(parent="users/me", device=device, request_id=request_id)
        answer = await self._stub.RegisterDevice(request, metadata=self._metadata)
        return answer.device

    async def devices(self, size: int = 0) -> list[pb.Device]:
        """All, page by page."""
        found: list[pb.Device] = []
        token = ""
        for _ in range(MOST_DEVICES + 1):
            request = pb.ListDevicesRequest(parent=self.name, page_size=size, page_token=token)
            answer = await self._stub.ListDevices(request, metadata=self._metadata)
            assert len(answer.devices) <= (size or 50)
            found.extend(answer.devices)
            token = answer.next_page_token
            if not token:
                return found
        raise AssertionError("the pages never end")

    async def delete(self, name: str) -> None:
        await self._stub.DeleteDevice(pb.DeleteDeviceRequest(name=name), metadata=self._metadata)


@pytest.fixture
async def stub(
    folder: Path, database: Database, signer: Signer
) -> AsyncIterator[DeviceServiceAsyncStub]:
    rpc = DeviceRpc(DeviceFlow(DeviceStore(database), now))
    verifier = verifier_of(signer)
    async with (
        served(folder, "integration", [rpc], verifier, asyncio.Event()) as server,
        server.channel() as channel,
    ):
        yield DeviceServiceStub(channel)


@pytest.fixture
def person(stub: DeviceServiceAsyncStub, signer: Signer) -> Person:
    return Person(stub, signer)


async def test_what_was_registered_is_listed_and_after_deletion_is_not(person: Person) -> None:
    device = await person.register("a", "  My   watch ")
    assert device.name.startswith(f"{person.name}/devices/")
    assert (device.display_name, device.kind) == ("My watch", pb.DEVICE_KIND_WATCH)
    assert device.HasField("create_time")
    assert await person.devices() == [device]
    await person.delete(device.name)
    assert await person.devices() == []


async def test_a_repeat_answers_with_the_first_device(person: Person) -> None:
    first = await person.register("a")
    assert await person.register("a") == first
    assert await person.devices() == [first]


async def test_repeats_at_the_same_instant_make_one_device(person: Person) -> None:
    answers = await asyncio.gather(*(person.register("a") for _ in range(CALLS_AT_ONCE)))
    assert all(answer == answers[0] for answer in answers)
    assert await person.devices() == [answers[0]]
    for number in range(MOST_DEVICES - 1):
        await person.register(f"more {number}")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.register("one too many")
    assert reason_of(refused.value) == "TOO_MANY_DEVICES"


async def test_without_a_request_id_the_edges_own_makes_a_repeat_harmless(
    person: Person,
) -> None:
    assert await person.register("") == await person.register("")


async def test_the_same_id_with_another_body_is_refused(person: Person) -> None:
    device = await person.register("a", "Watch")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.register("a", "Other")
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"
    assert await person.devices() == [device]


async def test_the_same_id_of_another_person_is_another_device(
    person: Person, stub: DeviceServiceAsyncStub, signer: Signer
) -> None:
    other = Person(stub, signer)
    first, second = await asyncio.gather(person.register("a"), other.register("a"))
    assert first.name.rpartition("/")[2] != second.name.rpartition("/")[2]
    assert await person.devices() == [first]


async def test_of_parallel_registrations_exactly_the_bound_succeeds(person: Person) -> None:
    tries = [person.register(f"request {number}") for number in range(MOST_DEVICES + 20)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 20
    assert [reason_of(error) for error in refused] == ["TOO_MANY_DEVICES"] * 20
    assert len(await person.devices()) == MOST_DEVICES


async def test_at_the_bound_a_repeat_still_answers_and_a_deletion_makes_room(
    person: Person,
) -> None:
    devices = [await person.register(f"request {number}") for number in range(MOST_DEVICES)]
    assert await person.register("request 0") == devices[0]
    await asyncio.gather(*(person.delete(devices[0].name) for _ in range(CALLS_AT_ONCE)))
    await person.register("one more")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.register("two more")
    assert reason_of(refused.value) == "TOO_MANY_DEVICES"


async def test_pages_hold_every_device_once_in_order(person: Person) -> None:
    made = [(await person.register(f"request {number}")).name for number in range(7)]
    assert [device.name for device in await person.devices(size=3)] == made
    assert [device.name for device in await person.devices(size=7)] == made


async def test_a_page_token_of_another_person_is_refused(
    person: Person, stub: DeviceServiceAsyncStub, signer: Signer
) -> None:
    for number in range(2):
        await person.register(f"request {number}")
    request = pb.ListDevicesRequest(parent=person.name, page_size=1)
    page = await stub.ListDevices(request, metadata=person._metadata)
    other = Person(stub, signer)
    stolen = pb.ListDevicesRequest(parent=other.name, page_token=page.next_page_token)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListDevices(stolen, metadata=other._metadata)
    assert reason_of(refused.value) == "PAGE_TOKEN_INVALID"


async def test_deleting_again_is_no_error_but_what_never_was_is_not_found(
    person: Person,
) -> None:
    device = await person.register("a")
    await person.delete(device.name)
    await person.delete(device.name)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.delete(f"{person.name}/devices/{uuid.uuid4()}")
    assert reason_of(refused.value) == "DEVICE_NOT_FOUND"


async def test_a_late_repeat_answers_but_revives_no_deleted_device(person: Person) -> None:
    device = await person.register("a")
    await person.delete(device.name)
    assert await person.register("a") == device
    assert await person.devices() == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.register("a", "Other")
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"


async def test_a_deleted_device_leaves_no_texts_behind(person: Person, database: Database) -> None:
    device = await person.register("a", "Secret name")
    await person.delete(device.name)
    async with database._pool.connection() as connection:
        found = await connection.execute("SELECT * FROM devices")
        row = await found.fetchone()
    assert row is not None
    assert "Secret name" not in row


async def test_long_deleted_devices_are_forgotten_and_others_are_not(
    person: Person, database: Database
) -> None:
    kept, gone = await person.register("kept"), await person.register("gone")
    await person.delete(gone.name)
    store = DeviceStore(database)
    await DeviceFlow(store, now).forget()
    await person.delete(gone.name)
    later = REMEMBER_DELETED + timedelta(seconds=1)
    await DeviceFlow(store, lambda: now() + later).forget()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.delete(gone.name)
    assert reason_of(refused.value) == "DEVICE_NOT_FOUND"
    assert await person.devices() == [kept]


async def test_another_persons_devices_are_out_of_reach(
    person: Person, stub: DeviceServiceAsyncStub, signer: Signer
) -> None:
    device = await person.register("a")
    other = Person(stub, signer)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.delete(device.name)
    assert reason_of(refused.value) == "NOT_OWNER"
    assert await person.devices() == [device]
