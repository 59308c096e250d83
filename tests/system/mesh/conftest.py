"""The mesh that these tests share, and clients to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.mesh_stack import MeshStack


@pytest.fixture(scope="package")
def mesh() -> Iterator[MeshStack]:
    stack = MeshStack()
    try:
        stack.start()
        yield stack
        assert stack.failed_scripts() == []
    finally:
        stack.stop()


@pytest.fixture
def rest(mesh: MeshStack) -> Iterator[httpx.Client]:
    """Anyone, with no token."""
    with httpx.Client(base_url=mesh.url, timeout=10) as client:
        yield client


@pytest.fixture
def user(mesh: MeshStack) -> Iterator[httpx.Client]:
    """A signed-in user, another in each test."""
    headers = {"authorization": f"Bearer {mesh.token()}"}
    with httpx.Client(base_url=mesh.url, headers=headers, timeout=10) as client:
        yield client
