"""The companion against a server that is kind, and one that is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from palestra_client import Unauthenticated
from palestra_watch import clock
from palestra_watch.batches import sample_count
from palestra_watch.spool import Spool
from palestra_watch.tokens import GivenToken
from tests.support.fake_telemetry import Mood, Store, telemetry_server
from tests.unit.watch.sessions import assert_stored, recording, send

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


async def test_a_kind_server_gets_everything_once_and_the_summary(tmp_path: Path) -> None:
    store, sent = Store(), recording(600)
    async with telemetry_server(store, Mood()) as (_, target):
        report = await send(target, tmp_path, sent)
    assert report.whole, report
    assert (report.lost, report.resumed) == (0, 0)
    assert report.repeated_batches == 0
    assert store.violations == []
    assert_stored(store.only(), sent)
    assert store.only().summary == sent.summary
    assert report.activity.endswith(f"/activities/{report.session}")


@pytest.mark.parametrize("seed", range(8))
async def test_a_hostile_server_gets_everything_once(tmp_path: Path, seed: int) -> None:
    mood = Mood(
        seed=seed,
        window=1 + seed % 5,
        max_batch_samples=7,
        ack_delay_s=0.002 * (seed % 3),
        cut=0.04,
        cuts_at_most=12,
        forget_ack=0.3,
        repeat_ack=0.3,
        send_back=0.03,
        stop_flow=0.02,
        closed_answer="refuse" if seed % 2 else "accept",
    )
    store, sent = Store(), recording(150, seed)
    async with telemetry_server(store, mood) as (_, target):
        report = await send(target, tmp_path, sent)
    assert report.whole, report
    assert report.lost == 0
    assert store.violations == []
    assert store.cuts > 0
    assert report.resumed > 0
    assert_stored(store.only(), sent)


async def test_a_server_that_restarts_is_found_again(tmp_path: Path) -> None:
    store, sent = Store(), recording(200)
    mood = Mood(max_batch_samples=5, ack_delay_s=0.01, window=2)
    async with telemetry_server(store, mood) as (_, target):
        sending = asyncio.create_task(send(target, tmp_path, sent))
        while not store.sessions or len(store.only().batches) < 5:
            await asyncio.sleep(0.01)
    async with telemetry_server(store, Mood(), int(target.rpartition(":")[2])):
        report = await sending
    assert report.whole, report
    assert report.resumed >= 1
    assert store.violations == []
    assert_stored(store.only(), sent)


async def test_batches_made_offline_are_cut_to_what_the_server_takes(tmp_path: Path) -> None:
    store, sent = Store(), recording(400)
    async with telemetry_server(store, Mood(silent=True)) as (_, target):
        sending = asyncio.create_task(send(target, tmp_path, sent))
        # Made, and by the first spool's bytes on disk more than one batch of eleven samples.
        while sum(each.stat().st_size for each in tmp_path.rglob("*")) < 10_000:
            await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    with Spool(tmp_path) as spool:
        made = [sample_count(spool.batch(seq)) for seq in range(1, spool.last_seq + 1)]
    assert max(made) > 11
    store = Store()
    async with telemetry_server(store, Mood(max_batch_samples=11)) as (_, target):
        report = await send(target, tmp_path, sent)
    assert report.whole, report
    assert store.violations == []
    assert_stored(store.only(), sent)


async def test_a_silent_server_is_given_up_and_everything_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palestra_watch.stream.SILENCE_S", 0.2)
    sent = recording(60)
    async with telemetry_server(Store(), Mood(silent=True)) as (_, target):
        report = await send(target, tmp_path, sent, patience_s=0.5)
    assert not report.finished
    assert not report.whole
    assert report.kept_samples == sent.samples
    assert report.lost == 0
    assert "said nothing" in report.error


@pytest.mark.parametrize("reason", ["BATCH_MALFORMED", "BATCH_TOO_LARGE", "DESCRIPTION_CHANGED"])
async def test_a_refusal_for_good_stops_with_its_reason(tmp_path: Path, reason: str) -> None:
    store, sent = Store(), recording(60)
    mood = Mood(max_batch_samples=10, reject_batch=(3, reason))
    async with telemetry_server(store, mood) as (_, target):
        report = await send(target, tmp_path, sent)
    assert not report.whole
    assert reason in report.error
    assert report.lost == 0
    assert report.kept_samples == sent.samples - report.acknowledged_samples
    assert len(store.only().batches) == 2


class Renewing:
    """Tokens that are renewed."""

    def __init__(self) -> None:
        self.count = 0

    async def access_token(self) -> str:
        """The newest."""
        return f"token-{self.count}"

    async def renewed(self, stale: str) -> str:
        """A newer one."""
        if stale == f"token-{self.count}":
            self.count += 1
        return f"token-{self.count}"


async def test_a_token_is_renewed_in_band_before_it_ends(tmp_path: Path) -> None:
    store, sent, tokens = Store(), recording(100), Renewing()
    mood = Mood(max_batch_samples=6, ack_delay_s=0.1, window=1, token_life_s=1.0)
    async with telemetry_server(store, mood) as (_, target):
        report = await send(target, tmp_path, sent, tokens=tokens)
    assert report.whole, report
    assert store.renewals >= 1
    assert report.resumed == 0
    assert store.violations == []


async def test_a_token_that_cannot_be_renewed_keeps_the_rest(tmp_path: Path) -> None:
    store, sent = Store(), recording(100)
    mood = Mood(max_batch_samples=6, ack_delay_s=0.1, window=1, token_life_s=0.7)
    async with telemetry_server(store, mood) as (_, target):
        report = await send(target, tmp_path, sent)
    assert not report.whole
    assert "fresh --token" in report.error
    assert 0 < report.acknowledged_samples < sent.samples
    assert report.lost == 0
    async with telemetry_server(store, Mood()) as (_, target):
        report = await send(target, tmp_path, sent)
    assert report.whole, report
    assert report.resumed == 1
    assert_stored(store.only(), sent)


async def test_a_session_is_left_to_another_companion_that_keeps_taking_it(
    tmp_path: Path,
) -> None:
    store, sent = Store(), recording(60)
    async with telemetry_server(store, Mood(max_batch_samples=5, window=1)) as (_, target):
        task = asyncio.create_task(send(target, tmp_path, sent, speed=1.0))
        while not store.sessions:
            await asyncio.sleep(0.01)
        for _ in range(400):
            store.only().epoch = max(store.only().epoch, 0) + 100
            if task.done():
                break
            await asyncio.sleep(0.02)
        report = await task
    assert "another companion" in report.error, report
    assert report.lost == 0


async def test_the_clock_offset_is_measured_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palestra_watch.stream.PING_S", 0.05)
    right_ms = clock.now_ms
    monkeypatch.setattr("palestra_watch.clock.now_ms", lambda: right_ms() - 60_000)
    store, sent = Store(), recording(100)
    mood = Mood(max_batch_samples=6, ack_delay_s=0.02, window=1)
    async with telemetry_server(store, mood) as (_, target):
        report = await send(target, tmp_path, sent)
    assert report.clock_offset_ms is not None
    assert abs(report.clock_offset_ms - 60_000) < 500
    assert any(abs(each - 60_000) < 500 for each in store.only().offsets_ms)
    assert_stored(store.only(), sent)


async def test_a_finished_session_is_not_sent_again(tmp_path: Path) -> None:
    store, sent = Store(), recording(30)
    async with telemetry_server(store, Mood()) as (_, target):
        first = await send(target, tmp_path, sent)
        second = await send(target, tmp_path, sent)
    assert second.whole
    assert second.sent_batches == 0
    assert second.activity == first.activity
    assert store.only().opened == 1


async def test_real_time_makes_a_batch_each_second(tmp_path: Path) -> None:
    store, sent = Store(), recording(40)
    async with telemetry_server(store, Mood()) as (_, target):
        report = await send(target, tmp_path, sent, speed=20.0)
    assert report.whole
    assert 1.7 < report.elapsed_s < 6
    assert 2 <= report.acknowledged_batches <= 4


async def test_a_given_token_cannot_be_renewed() -> None:
    with pytest.raises(Unauthenticated, match="fresh --token"):
        await GivenToken("x").renewed("x")
