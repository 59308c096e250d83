"""The edge's own TLS where older clients are served, and where its certificate changes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mesh_stack import MeshStack, until

# Renewed after three seconds, give or take; control may be held up by the machine for eight.
LIFETIME_S, GRACE_PERCENT = 12, 75


@pytest.fixture(scope="module")
def secured() -> Iterator[MeshStack]:
    """A mesh of which the edge serves TLS 1.2 as well, with certificates for seconds."""
    told = {
        "PALESTRA_EDGE_TLS": "1.2",
        "PALESTRA_CERTIFICATE_S": str(LIFETIME_S),
        "PALESTRA_CERTIFICATE_GRACE_PERCENT": str(GRACE_PERCENT),
    }
    stack = MeshStack(settings=told)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def trusted(stack: MeshStack) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=stack.state / "mesh" / "site.pem")


def client(stack: MeshStack, context: ssl.SSLContext) -> httpx.Client:
    url = f"https://127.0.0.1:{stack.port}"
    headers = {"authorization": f"Bearer {stack.token()}"}
    return httpx.Client(base_url=url, verify=context, headers=headers, timeout=10)


def served(stack: MeshStack) -> str:
    """The edge's certificate of now."""
    return ssl.get_server_certificate(("127.0.0.1", stack.port))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_served_where_the_setting_says_so(
    secured: MeshStack, version: ssl.TLSVersion
) -> None:
    context = trusted(secured)
    context.minimum_version = context.maximum_version = version
    with client(secured, context) as user:
        answer = user.get("/v1/users/me")
        assert (answer.status_code, answer.headers["strict-transport-security"]) == (
            200,
            "max-age=86400",
        )


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"])
def test_what_is_weak_in_the_older_one_is_not(secured: MeshStack, cipher: str) -> None:
    context = trusted(secured)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    with client(secured, context) as user, pytest.raises(httpx.ConnectError):
        user.get("/healthz")


def test_a_new_certificate_cuts_no_stream(secured: MeshStack) -> None:
    first = served(secured)
    with client(secured, trusted(secured)) as user:
        with user.stream("GET", "/v1/users/me/activities/a1:watch") as answer:
            lines = answer.iter_lines()
            assert "140" in next(lines)
            until(lambda: served(secured) != first, "another certificate", 4 * LIFETIME_S)
            assert all("140" in next(lines) for _ in range(100))
        # Whoever comes now believes the new one.
        assert user.get("/v1/users/me").status_code == 200


def test_the_authority_of_the_mesh_and_that_of_the_site_are_two(secured: MeshStack) -> None:
    mesh = secured.state / "mesh"
    assert (mesh / "ca.pem").read_bytes() != (mesh / "site.pem").read_bytes()
    wrong = ssl.create_default_context(cafile=mesh / "ca.pem")
    refused = pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED")
    with client(secured, wrong) as user, refused:
        user.get("/healthz")
    keys = [Path(mesh / name) for name in ("ca.key", "site.key")]
    assert [each.stat().st_mode & 0o777 for each in keys] == [0o600, 0o600]
