"""A stack that serves TLS: what it offers, what it refuses, and that its tools can use it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from mesh.local import launch, plan
from palestra_client import Palestra
from tests.support.local_stack import free_port
from tests.support.scratch import short_folder

ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def stack() -> Iterator[dict[str, Any]]:
    """A running stack's facts."""
    with short_folder() as folder:
        told = plan.Options(state=folder / "s", port=free_port(), tls="1.3", origins=ORIGIN)
        with launch.attached(told) as facts:
            yield facts


@pytest.fixture
def rest(stack: dict[str, Any]) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=stack["ca"])
    with httpx.Client(base_url=stack["rest_url"], verify=trusted, timeout=10) as client:
        yield client


def shaken(stack: dict[str, Any], name: str = "localhost", **changed: Any) -> ssl.SSLSocket:
    """A connection after its handshake; the caller closes it."""
    context = ssl.create_default_context(cafile=stack["ca"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for setting, value in changed.items():
        if setting == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, setting, value)
    raw = socket.create_connection((stack["host"], stack["port"]), timeout=10)
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


def certificate(stack: dict[str, Any]) -> x509.Certificate:
    with shaken(stack) as connection:
        found = connection.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_edge_is_known_by_each_of_its_names(stack: dict[str, Any], name: str) -> None:
    with shaken(stack, name) as connection:
        assert connection.version() == "TLSv1.3"


def test_another_name_and_another_authority_are_not_believed(stack: dict[str, Any]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shaken(stack, "palestra.example")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{stack['rest_url']}/healthz")


def test_older_versions_of_tls_are_refused(stack: dict[str, Any]) -> None:
    with pytest.raises(ssl.SSLError):
        shaken(stack, maximum_version=ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)]
)
def test_both_versions_of_http_are_offered(
    stack: dict[str, Any], offered: list[str], chosen: str | None
) -> None:
    with shaken(stack, alpn=offered) as connection:
        assert connection.selected_alpn_protocol() == chosen


def test_without_tls_nobody_is_answered(stack: dict[str, Any]) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://{stack['host']}:{stack['port']}/healthz")


@pytest.mark.parametrize("two", [False, True], ids=["http1", "http2"])
def test_everything_says_that_tls_is_to_stay(stack: dict[str, Any], *, two: bool) -> None:
    trusted = ssl.create_default_context(cafile=stack["ca"])
    with httpx.Client(
        base_url=stack["rest_url"], verify=trusted, http1=not two, http2=two, timeout=10
    ) as client:
        for path, status in ("/healthz", 200), ("/v1/users/me", 401), ("/nothing", 404):
            answer = client.get(path)
            assert (answer.status_code, answer.http_version[5]) == (status, "2" if two else "1")
            assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_only_the_pages_of_the_setting_may_read(rest: httpx.Client) -> None:
    for origin, allowed in (ORIGIN, True), ("https://evil.example", False), ("null", False):
        answer = rest.get("/v1/users/me", headers={"origin": origin})
        assert ("access-control-allow-origin" in answer.headers) == allowed
        asking = {"origin": origin, "access-control-request-method": "PATCH"}
        preflight = rest.options("/v1/users/me", headers=asking)
        assert ("access-control-allow-origin" in preflight.headers) == allowed
        assert "access-control-allow-credentials" not in answer.headers


def test_the_certificate_vouches_for_this_machine_alone(stack: dict[str, Any]) -> None:
    authority = x509.load_pem_x509_certificate(Path(stack["ca"]).read_bytes())
    named = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert named.critical
    assert x509.DNSName("localhost") in (named.value.permitted_subtrees or ())
    leaf = certificate(stack)
    kinds = [type(each) for each in _alternatives(leaf)]
    assert x509.UniformResourceIdentifier not in kinds
    private = Path(stack["ca"]).with_suffix(".key")
    assert private.stat().st_mode & 0o077 == 0


def _alternatives(leaf: x509.Certificate) -> list[x509.GeneralName]:
    return list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


@pytest.fixture(scope="module")
def session(stack: dict[str, Any]) -> dict[str, str]:
    """Somebody signed in."""
    trusted = ssl.create_default_context(cafile=stack["ca"])
    body = {"email": "v@example.com", "password": "correct horse", "displayName": "Vera"}
    url = f"{stack['rest_url']}/v1/auth:register"
    answer = httpx.post(url, json=body, verify=trusted, timeout=10).raise_for_status()
    told: dict[str, str] = answer.json()
    return told


@pytest.mark.usefixtures("session")
async def test_the_client_uses_it(stack: dict[str, Any]) -> None:
    ca = Path(stack["ca"]).read_bytes()
    async with Palestra(stack["grpc_target"], ca=ca) as palestra:
        await palestra.login("v@example.com", "correct horse")
        assert (await palestra.profile()).display_name == "Vera"


@pytest.mark.parametrize("way", [[], ["--ws"]], ids=["grpc", "websocket"])
def test_the_watch_uses_it(
    stack: dict[str, Any], session: dict[str, str], tmp_path: Path, way: list[str]
) -> None:
    command = [sys.executable, "-m", "palestra_watch", "simulate", "--duration=20", "--speed=0"]
    done = subprocess.run(
        [*command, *way, "--target", stack["grpc_target"], "--ca", stack["ca"], "--token",
         session["accessToken"], "--state", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
