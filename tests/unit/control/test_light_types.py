"""The control plane's process makes what the validated types make, byte for byte."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import betterproto2
import pydantic.dataclasses
from envoy_data_plane.envoy.config.core.v3 import Pipe

from mesh.control.light_types import without_validators
from mesh.local.places import ROOT


def digest(types: str) -> str:
    """As a fresh process makes it: what else is imported orders a descriptor's options."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.rendered", types],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def declared() -> Any:
    """A message type as a generated module within the block declares it."""
    with without_validators():
        from pydantic.dataclasses import dataclass

        class Declared(betterproto2.Message):
            path: str = betterproto2.field(1, betterproto2.TYPE_STRING)
            hosts: list[str] = betterproto2.field(2, betterproto2.TYPE_STRING, repeated=True)

        return dataclass(eq=False, repr=False, config={"extra": "forbid"})(Declared)


def test_without_validators_the_same_is_told_to_the_proxies() -> None:
    assert digest("light") == digest("validated")


def test_types_that_were_imported_before_stay_validated() -> None:
    before = sys.modules["pydantic.dataclasses"]
    with without_validators():
        assert sys.modules["pydantic.dataclasses"] is not before
    assert sys.modules["pydantic.dataclasses"] is before is pydantic.dataclasses
    assert hasattr(Pipe, "__pydantic_validator__")


def test_a_type_is_made_when_it_is_first_used() -> None:
    kind = declared()
    assert "path" in vars(kind)
    made = kind(path="/one")
    assert (made.path, made.hosts) == ("/one", [])
    assert bytes(kind.parse(bytes(made))) == bytes(made)
    assert [each.name for each in dataclasses.fields(kind)] == ["path", "hosts"]


def test_a_type_is_made_when_its_fields_are_asked_for() -> None:
    assert [each.name for each in dataclasses.fields(declared())] == ["path", "hosts"]


def test_many_threads_use_it_first() -> None:
    callers = 8
    with ThreadPoolExecutor(callers) as pool:
        for _ in range(50):
            kind, together = declared(), Barrier(callers)

            def use(number: int, kind: Any = kind, together: Barrier = together) -> str:
                together.wait()
                return str(kind(path=f"/{number}").path)

            assert [*pool.map(use, range(callers))] == [f"/{each}" for each in range(callers)]
