"""The embedded PostgreSQL and Redis: what is acknowledged stays, and each keeps to its own."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mesh.local.places import Places
from mesh.local.stores import provision
from mesh.local.stores.database import BESIDE_POOL, DATABASE, POOL, SPARE_WORKERS, url
from tests.support.local_stack import LocalStack, local_stack, until

SEED = random.randrange(1 << 32)
RECOVERY_S = 10.0


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack("stores") as started:
        done = started.up("--workers=training=3")
        assert done.returncode == 0, done.stderr
        yield started


def secrets(stack: LocalStack) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads((stack.state / "secrets.json").read_text())
    return content


def database(stack: LocalStack, role: str) -> psycopg.Connection:
    folder = Places(stack.state).postgres
    password = secrets(stack)["postgres"][role]
    name = "postgres" if role == "palestra" else DATABASE
    return psycopg.connect(url(folder, role, password, name), autocommit=True)


def cache(stack: LocalStack, user: str) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(stack.state / "run" / "redis.sock"),
        username=user,
        password=secrets(stack)["redis"][user],
        decode_responses=True,
    )


class Writer:
    """Writes 0, 1, 2 … until stopped, from a thread; keeps what was acknowledged."""

    def __init__(self, write: Callable[[int], None], errors: tuple[type[Exception], ...]) -> None:
        self.acknowledged: list[int] = []
        self._write, self._errors = write, errors
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            try:
                self._write(number)
                self.acknowledged.append(number)
            except self._errors:
                time.sleep(0.05)
            number += 1

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(15)
        assert not self._thread.is_alive()


def kill_amid(stack: LocalStack, name: str, writer: Writer, chance: random.Random) -> None:
    """Kills a store at a random instant of the writing, and waits until writing goes on."""
    restarts = stack.process(name)["restarts"]
    time.sleep(chance.uniform(0.05, 0.5))
    stack.kill(name)
    before = len(writer.acknowledged)
    until(lambda: stack.process(name)["restarts"] > restarts, RECOVERY_S, f"{name} restarted")
    until(lambda: stack.process(name)["state"] == "serving", RECOVERY_S, f"{name} serves")
    until(lambda: len(writer.acknowledged) > before + 10, RECOVERY_S, f"{name} is written to")


def test_no_committed_row_is_lost_when_postgresql_is_killed(stack: LocalStack) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    with database(stack, "training") as setup:
        setup.execute("CREATE TABLE laps (number int)")
    held: list[psycopg.Connection] = []

    def write(number: int) -> None:
        if not held:
            held.append(database(stack, "training"))
        try:
            held[0].execute("INSERT INTO laps VALUES (%s)", [number])
        except psycopg.Error:
            held.pop().close()
            raise

    writer = Writer(write, (psycopg.Error,))
    try:
        for _ in range(3):
            kill_amid(stack, "postgres", writer, chance)
    finally:
        writer.stop()
        for connection in held:
            connection.close()
    with database(stack, "training") as check:
        stored = [number for (number,) in check.execute("SELECT number FROM laps")]
    assert set(writer.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


def test_no_acknowledged_event_is_lost_when_redis_is_killed(stack: LocalStack) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED + 1)
    client = cache(stack, "training")

    def write(number: int) -> None:
        client.xadd("events:training", {"number": number})

    writer = Writer(write, (redis.RedisError,))
    try:
        for _ in range(3):
            kill_amid(stack, "redis", writer, chance)
    finally:
        writer.stop()
    entries: Any = client.xrange("events:training")
    stored = {int(fields["number"]) for _, fields in entries}
    client.close()
    assert set(writer.acknowledged) <= stored


def test_a_role_is_refused_on_another_services_tables(stack: LocalStack) -> None:
    with database(stack, "identity") as identity:
        identity.execute("CREATE TABLE accounts (email text)")
        identity.execute("INSERT INTO accounts VALUES ('someone')")
    with database(stack, "training") as training:
        for statement in (
            "SELECT * FROM identity.accounts",
            "INSERT INTO identity.accounts VALUES ('x')",
            "DROP TABLE identity.accounts",
            "CREATE TABLE identity.mine (x int)",
            "CREATE TABLE public.mine (x int)",
            "CREATE SCHEMA mine",
            "SET ROLE identity",
            "CREATE ROLE mine",
            "COPY (SELECT 1) TO '/tmp/out'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                training.execute(statement)
        found = training.execute("SELECT current_schema()").fetchone()
    assert found == ("training",)


def test_a_role_is_refused_without_its_password_and_in_other_databases(stack: LocalStack) -> None:
    folder = Places(stack.state).postgres
    password = secrets(stack)["postgres"]["training"]
    for refused in (
        url(folder, "training", "wrong"),
        url(folder, "identity", password),
        url(folder, "training", password, "postgres"),
        url(folder, "training", password, "template1"),
    ):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(refused).close()


def test_postgresql_keeps_fsync_and_opens_no_tcp_port(stack: LocalStack) -> None:
    with database(stack, "palestra") as admin:
        shown = {
            name: admin.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in ("fsync", "listen_addresses", "synchronous_commit", "password_encryption")
        }
        locale = admin.execute(
            "SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = 'palestra'"
        ).fetchone()
    assert shown == {
        "fsync": ("on",),
        "listen_addresses": ("",),
        "synchronous_commit": ("on",),
        "password_encryption": ("scram-sha-256",),
    }
    assert locale == ("b", "C.UTF-8")


def test_every_pool_fits_into_the_servers_connections(stack: LocalStack) -> None:
    with database(stack, "palestra") as admin:
        rows = admin.execute("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolconnlimit > 0")
        limits: dict[str, int] = dict(rows.fetchall())
        row = admin.execute(
            "SELECT current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
        ).fetchone()
    assert row is not None
    one = POOL + BESIDE_POOL
    spare = SPARE_WORKERS * one
    assert limits["training"] >= 3 * one + spare
    # The spare workers are anyone's, but are there once: whoever takes all of them
    # leaves the others what they started with, and a successor's place for each.
    assert sum(limit - spare for limit in limits.values()) + spare <= row[0]


def test_a_new_service_gets_its_role_in_an_existing_data_folder(stack: LocalStack) -> None:
    passwords = secrets(stack)["postgres"] | {"social": "secret"}
    folder = Places(stack.state).postgres
    for _ in range(2):
        provision.apply(folder, passwords, {"training": 3, "social": 1})
    with psycopg.connect(url(folder, "social", "secret"), autocommit=True) as social:
        social.execute("CREATE TABLE groups (name text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            social.execute("SELECT * FROM training.laps")
    with (
        database(stack, "training") as training,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        training.execute("SELECT * FROM social.groups")


def test_redis_keeps_each_service_to_its_own_keys(stack: LocalStack) -> None:
    with cache(stack, "training") as training, cache(stack, "identity") as identity:
        training.set("training:lap", "1")
        training.xadd("events:training:activities", {"a": "b"})
        training.publish("training:live", "x")
        identity.xgroup_create("events:training:activities", "identity", "0")
        read: Any = identity.xreadgroup("identity", "one", {"events:training:activities": ">"})
        assert len(read) == 1
        refusals: tuple[Callable[[], Any], ...] = (
            lambda: identity.get("training:lap"),
            lambda: identity.xadd("events:training:activities", {"forged": "1"}),
            lambda: identity.delete("events:training:activities"),
            lambda: identity.publish("training:live", "x"),
            lambda: identity.config_get("*"),
            identity.flushall,
            identity.acl_list,
        )
        for refused in refusals:
            with pytest.raises(redis.exceptions.NoPermissionError):
                refused()


def test_redis_refuses_who_does_not_log_in(stack: LocalStack) -> None:
    path = str(stack.state / "run" / "redis.sock")
    with (
        redis.Redis(unix_socket_path=path, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        stranger.ping()


def test_redis_is_durable_and_never_evicts(stack: LocalStack) -> None:
    with cache(stack, "palestra") as admin:
        found = {
            name: admin.config_get(name)[name]
            for name in ("appendonly", "appendfsync", "maxmemory-policy", "port")
        }
    assert found == {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "port": "0",
    }


def test_the_secrets_are_their_users_alone(stack: LocalStack) -> None:
    private = ["secrets.json", "mesh/proof", "redis/users.acl", "redis/redis.conf", "stack.json"]
    for name in private:
        assert (stack.state / name).stat().st_mode & 0o077 == 0, name
    for name in ("run", "mesh", "logs", "pg", "redis"):
        assert (stack.state / name).stat().st_mode & 0o077 == 0, name


def test_data_and_passwords_survive_a_kill_of_everything_at_once(stack: LocalStack) -> None:
    with database(stack, "training") as training:
        training.execute("CREATE TABLE IF NOT EXISTS medals (metal text)")
        training.execute("INSERT INTO medals VALUES ('gold')")
    known = secrets(stack)
    pids = [stack.stack()["supervisor"], *stack.pids()]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not stack.remains(), RECOVERY_S, "nothing remains")
    done = stack.up("--workers=training=3")
    assert done.returncode == 0, done.stderr
    assert secrets(stack) == known
    with database(stack, "training") as training:
        assert training.execute("SELECT metal FROM medals").fetchone() == ("gold",)
