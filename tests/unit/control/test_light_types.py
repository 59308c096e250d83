"""The control plane's process makes what the validated types make, byte for byte."""

from __future__ import annotations

import subprocess
import sys

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


def test_without_validators_the_same_is_told_to_the_proxies() -> None:
    assert digest("light") == digest("validated")


def test_types_that_were_imported_before_stay_validated() -> None:
    before = pydantic.dataclasses.dataclass
    with without_validators():
        assert pydantic.dataclasses.dataclass is not before
    assert pydantic.dataclasses.dataclass is before
    assert hasattr(Pipe, "__pydantic_validator__")
