"""The façade: sign-in, deadlines, repeats, errors, pages, streams, watching."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from palestra.identity.v1 import auth_service_pb2
from palestra.integration.v1 import device_service_pb2
from palestra.training.v1 import activity_service_pb2, progress_service_pb2
from palestra_client import (
    Conflict,
    FileTokenStore,
    InvalidArgument,
    MemoryTokenStore,
    NotFound,
    Palestra,
    PalestraError,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    Tokens,
    Unauthenticated,
    Unavailable,
    rule_of,
    tokens_of,
)
from tests.support.fake_community import USER, Community, Failure, community_server

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
ACTIVITY = f"{USER}/activities/1"
DOWN = Failure(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


@asynccontextmanager
async def signed_in(community: Community) -> AsyncIterator[Palestra]:
    """A client whose person is signed in."""
    async with community_server(community) as target, Palestra(target) as palestra:
        assert await palestra.login("ada@example.org", "long enough") == USER
        yield palestra


@asynccontextmanager
async def far_away(target: str, late_s: float) -> AsyncIterator[str]:
    """A way to `target` on which a new connection is answered late: distance, TLS, a phone."""
    host, _, port = target.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(late_s)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        with suppress(OSError):
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with relay:
        yield f"127.0.0.1:{relay.sockets[0].getsockname()[1]}"


async def test_a_connection_may_take_its_time() -> None:
    """A sign-in is never repeated by itself: the first attempt must do."""
    community = Community()
    async with (
        community_server(community) as target,
        far_away(target, late_s=0.6) as relay,
        Palestra(relay) as palestra,
    ):
        assert await palestra.login("ada@example.org", "long enough") == USER
    assert community.calls["Login"] == 1


async def test_registering_signs_in_and_logging_out_forgets() -> None:
    community = Community()
    async with community_server(community) as target, Palestra(target) as palestra:
        with pytest.raises(Unauthenticated):
            await palestra.profile()
        await palestra.register("ada@example.org", "long enough", "Ada")
        assert (await palestra.profile()).display_name == "Ada"
        await palestra.logout()
        with pytest.raises(Unauthenticated, match="Sign in first"):
            await palestra.profile()
        await palestra.logout()
    assert community.calls["Logout"] == 1
    assert community.calls["GetProfile"] == 1


async def test_deadlines_are_the_contracts() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        await palestra.activity(ACTIVITY)
        await palestra.streams(ACTIVITY)
    # gRPC rounds a deadline up on its way.
    np.testing.assert_allclose(community.timeouts_s, [3.0, 1.0, 5.0], atol=0.2)


async def test_fifty_calls_with_an_expired_token_make_one_refresh() -> None:
    community = Community(slow_refresh_s=0.1)
    async with signed_in(community) as palestra:
        community.valid = set()
        answers = await asyncio.gather(*(palestra.activity(ACTIVITY) for _ in range(50)))
    assert len(answers) == 50
    assert community.calls["RefreshToken"] == 1


async def test_a_token_is_renewed_before_it_expires() -> None:
    community = Community(token_life_s=1)
    async with signed_in(community) as palestra:
        await asyncio.sleep(0.6)
        await asyncio.gather(*(palestra.activity(ACTIVITY) for _ in range(20)))
    assert community.calls["RefreshToken"] == 1
    assert community.calls["GetActivity"] == 20, "none was refused first"


async def test_a_cancelled_caller_does_not_cost_the_others_the_refresh() -> None:
    community = Community(slow_refresh_s=0.2)
    async with signed_in(community) as palestra:
        community.valid = set()
        first = asyncio.create_task(palestra.activity(ACTIVITY))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(palestra.activity(ACTIVITY))
        first.cancel()
        assert (await second).name == ACTIVITY
        assert (await palestra.activity(ACTIVITY)).name == ACTIVITY
    assert community.calls["RefreshToken"] == 1


async def test_a_refused_refresh_ends_the_sign_in_for_all_who_wait() -> None:
    community = Community(slow_refresh_s=0.05)
    async with signed_in(community) as palestra:
        community.valid, community.refresh = set(), "stolen and used"
        failed = await asyncio.gather(
            *(palestra.activity(ACTIVITY) for _ in range(10)), return_exceptions=True
        )
        assert all(isinstance(each, Unauthenticated) for each in failed)
        assert isinstance(failed[0], PalestraError)
        assert failed[0].reason == "REFRESH_TOKEN_REUSED"
        with pytest.raises(Unauthenticated, match="Sign in first"):
            _ = palestra.user
    assert community.calls["RefreshToken"] == 1


async def test_two_clients_of_one_token_file_use_each_refresh_token_once(tmp_path: Path) -> None:
    community = Community(slow_refresh_s=0.1)
    path = tmp_path / "deep" / "tokens.json"
    async with (
        community_server(community) as target,
        Palestra(target, store=FileTokenStore(path)) as one,
        Palestra(target, store=FileTokenStore(path)) as two,
    ):
        await one.login("ada@example.org", "long enough")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        community.valid = set()
        await asyncio.gather(*(each.activity(ACTIVITY) for each in (one, two) for _ in range(5)))
        assert community.calls["RefreshToken"] == 1
        assert two.user == USER
    assert community.refresh in path.read_text()


async def test_a_file_that_holds_no_tokens_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    assert FileTokenStore(path).load() is None
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"tokens\.json is not a token file"):
        FileTokenStore(path).load()


async def test_secrets_stay_out_of_what_is_printed() -> None:
    assert "secret" not in repr(Tokens(USER, "secret", "secret", 1.0))
    assert tokens_of("not.a.jwt").user == ""
    assert tokens_of("opaque").expire_time_s == 0.0


async def test_a_read_is_repeated_while_the_server_is_unavailable() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.failures = [DOWN, DOWN]
        assert (await palestra.activity(ACTIVITY)).name == ACTIVITY
        assert community.calls["GetActivity"] == 3
        community.failures = [DOWN] * 9
        with pytest.raises(Unavailable):
            await palestra.activity(ACTIVITY)
        assert community.calls["GetActivity"] == 6, "three tries are made, no more"


async def test_an_outage_exhausts_the_budget_of_repeats() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.failures = [DOWN] * 200
        failed = await asyncio.gather(
            *(palestra.activity(ACTIVITY) for _ in range(40)), return_exceptions=True
        )
        assert all(isinstance(each, Unavailable) for each in failed)
    assert community.calls["GetActivity"] <= 40 + 10


async def test_what_a_repeat_could_double_is_not_repeated() -> None:
    community = Community(failures=[DOWN])
    async with community_server(community) as target, Palestra(target) as palestra:
        with pytest.raises(Unavailable):
            await palestra.register("ada@example.org", "long enough", "Ada")
    assert community.calls["Register"] == 1


async def test_a_long_wait_that_the_server_asks_for_is_left_to_the_caller() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.failures = [Failure(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 60)]
        with pytest.raises(Unavailable) as caught:
            await palestra.activity(ACTIVITY)
    assert caught.value.retry_after_s == 60
    assert community.calls["GetActivity"] == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.ALREADY_EXISTS, Conflict),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ResourceExhausted),
        (grpc.StatusCode.INTERNAL, ServerError),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
async def test_errors_keep_their_reason_domain_and_code(
    code: grpc.StatusCode, kind: type[PalestraError], as_json: bool
) -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.failures = [Failure(code, "SOME_REASON", as_json=as_json)]
        with pytest.raises(kind) as caught:
            await palestra.activity(ACTIVITY)
    error = caught.value
    assert (error.reason, error.domain, error.code) == ("SOME_REASON", "mesh.palestra", code)
    assert "{" not in error.message


async def test_refused_fields_and_the_wait_are_told() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.failures = [
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", 2.5, ("device.kind",))
        ]
        with pytest.raises(InvalidArgument, match=r"device\.kind: is wrong") as caught:
            await palestra.activity(ACTIVITY)
    assert [each.field for each in caught.value.field_violations] == ["device.kind"]
    assert caught.value.retry_after_s == 2.5


async def test_pages_are_fetched_as_they_are_taken() -> None:
    community = Community(activities=5, page=2)
    async with signed_in(community) as palestra:
        names = []
        async for activity in palestra.activities(filter="sport = SPORT_RUNNING", fields=["name"]):
            names.append(activity.name.rpartition("/")[2])
            if len(names) == 3:
                assert community.calls["ListActivities"] == 2
    assert names == ["0", "1", "2", "3", "4"]
    assert community.calls["ListActivities"] == 3
    assert all(
        each.filter == "sport = SPORT_RUNNING" and each.read_mask.paths == ["name"]
        for each in community.requests
        if isinstance(each, activity_service_pb2.ListActivitiesRequest)
    )


async def test_streams_are_arrays_with_nan_for_gaps() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        streams = await palestra.streams(ACTIVITY, ["HEART_RATE"], resolution=0)
        assert streams.time_ms.tolist() == [0, 1000, 2000]
        assert streams.start_time_ms == 1000
        np.testing.assert_array_equal(streams.channels["HEART_RATE"], [60.0, np.nan, 62.5])
        assert streams.units == {"HEART_RATE": "bpm"}
        assert community.requests[-1].HasField("resolution")
        with pytest.raises(ServerError, match="disagree in length"):
            await palestra.streams(ACTIVITY, ["SHORT"])


async def test_a_watch_goes_on_after_a_cut_until_the_activity_is_finished() -> None:
    community = Community(
        watch_ends=[
            0,
            activity_service_pb2.WATCH_END_RESUMABLE,
            activity_service_pb2.WATCH_END_FINISHED,
        ]
    )
    async with signed_in(community) as palestra:
        community.valid = set()
        seen = [update.elapsed_s async for update in palestra.watch(ACTIVITY)]
    assert seen == [2, 3, 4], "the first opening was refused and the sign-in renewed"
    assert community.calls["RefreshToken"] == 1


async def test_a_watch_of_a_deleted_activity_ends_with_not_found() -> None:
    community = Community(watch_ends=[activity_service_pb2.WATCH_END_DELETED])
    async with signed_in(community) as palestra:
        with pytest.raises(NotFound):
            _ = [update async for update in palestra.watch(ACTIVITY)]


async def test_a_registered_device_gets_a_request_id_that_its_repeats_keep() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        device = device_service_pb2.Device(display_name="Watch")
        community.failures = [DOWN]
        added = await palestra.devices.register(device)
        sent = [
            each.request_id
            for each in community.requests
            if isinstance(each, device_service_pb2.RegisterDeviceRequest)
        ]
        assert len(sent) == 2
        assert sent[0] == sent[1] != ""
        own = await palestra.devices.register(device, request_id="mine")
        assert own.name.endswith("/mine")
        assert [each.name async for each in palestra.devices.list()] == [added.name, own.name]
        await palestra.devices.delete(own.name)
        assert [each.name async for each in palestra.devices.list()] == [added.name]


async def test_progress_takes_plain_words() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        progress = await palestra.progress("month", "2026-01-31", "2026-02-28", ["running"])
        assert progress.period == progress_service_pb2.PERIOD_MONTH
        request = community.requests[-1]
        assert (request.start_date.day, request.end_date.month) == (31, 2)
        with pytest.raises(ValueError, match="PERIOD_FORTNIGHT"):
            await palestra.progress("fortnight")


async def test_a_refresh_that_cannot_reach_the_server_keeps_the_sign_in() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.valid = set()
        community.failures = [DOWN] * 3
        with pytest.raises(Unavailable):
            await palestra.activity(ACTIVITY)
        assert (await palestra.activity(ACTIVITY)).name == ACTIVITY


async def test_a_refresh_whose_answer_is_lost_is_asked_for_again_at_once() -> None:
    community = Community()
    async with signed_in(community) as palestra:
        community.valid = set()
        community.failures = [DOWN]
        assert (await palestra.activity(ACTIVITY)).name == ACTIVITY
    assert community.calls["RefreshToken"] == 2


async def test_nobody_signed_in_is_told_by_the_server_without_a_refresh() -> None:
    community = Community()
    async with (
        community_server(community) as target,
        Palestra(target, store=MemoryTokenStore()) as palestra,
    ):
        with pytest.raises(Unauthenticated) as caught:
            await palestra.activity(ACTIVITY)
    assert caught.value.reason == "TOKEN_MISSING"
    assert community.calls["RefreshToken"] == 0


async def test_the_contract_says_which_calls_may_be_repeated() -> None:
    register = rule_of(auth_service_pb2.DESCRIPTOR, "AuthService", "Register")
    assert register.public
    assert not register.repeatable
    assert register.timeout_s == 3.0
    device = rule_of(device_service_pb2.DESCRIPTOR, "DeviceService", "RegisterDevice")
    assert device.repeatable
    assert device.takes_request_id
    assert not device.public
