"""Certificates that live for seconds, renewed under load: nobody notices, and they are in use."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from cryptography import x509

from mesh.control.succession import ASKED_FOR
from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_discovery import admin
from tests.system.mesh.test_edge_rest import seen
from tests.system.mesh.test_live_changes import bearer, uncut

# Renewed after four seconds, give or take; control may be held up by the machine for ten.
LIFETIME_S, GRACE_PERCENT, AGE_S = 16, 75, 1
FORWARDED = "x-forwarded-client-cert"


@pytest.fixture(scope="module")
def brief() -> Iterator[MeshStack]:
    """A mesh in which nothing is valid for long."""
    brevity = {
        "PALESTRA_CERTIFICATE_S": LIFETIME_S,
        "PALESTRA_CERTIFICATE_GRACE_PERCENT": GRACE_PERCENT,
        "PALESTRA_CONNECTION_AGE_S": AGE_S,
    }
    stack = MeshStack(settings={name: str(value) for name, value in brevity.items()})
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


class Load:
    """Requests all the while, and by which certificate of the edge each came to the service."""

    def __init__(self, mesh: MeshStack) -> None:
        self._mesh = mesh
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.failures: list[str] = []
        self.hashes: list[str] = []

    def _call(self) -> None:
        with httpx.Client(base_url=self._mesh.url, timeout=10) as client:
            while not self._done.is_set():
                answer = client.get("/v1/users/me", headers=bearer(self._mesh.token()))
                if answer.status_code == 200:
                    self.hashes.append(re.findall("Hash=([0-9a-f]+)", seen(answer)[FORWARDED])[0])
                else:
                    self.failures.append(answer.text)
                time.sleep(0.005)

    @property
    def certificates(self) -> list[str]:
        """The certificates by which calls came, in the order of their first call."""
        return list(dict.fromkeys(self.hashes))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._done.set()
            self._thread.join()


def aged(mesh: MeshStack) -> int:
    """How many of the edge's connections to identity were replaced for their age."""
    name = "cluster.edge-to-identity.upstream_cx_max_duration_reached"
    return int(admin(mesh, "edge", f"/stats?filter={name}").rpartition(": ")[2])


def test_certificates_change_under_load_and_no_call_fails_and_no_stream_is_cut(
    brief: MeshStack,
) -> None:
    load = Load(brief)
    with uncut(brief), uncut(brief), load.running():
        until(lambda: len(load.certificates) >= 3, "two renewals to be in use", 4 * LIFETIME_S)
        until(
            lambda: set(load.hashes[-50:]) == {load.certificates[-1]},
            "calls by the newest certificate alone",
            LIFETIME_S,
        )
    assert load.failures == [], brief.logs()
    assert aged(brief) >= 2


@pytest.mark.alone
@pytest.mark.slow
def test_the_authority_changes_under_load_and_no_call_fails(brief: MeshStack) -> None:
    folder = brief.state / "mesh"
    first = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    load = Load(brief)
    with uncut(brief), load.running():
        (folder / ASKED_FOR).touch()
        until((folder / "former.pem").exists, "the next authority to sign", 2 * LIFETIME_S)
        signer = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        assert signer.serial_number != first.serial_number
        until(lambda: not (folder / "former.pem").exists(), "the former to be over", 3 * LIFETIME_S)
        until(lambda: brief.control_json()["ready"], "everybody to know")
        calls = len(load.hashes)
        until(lambda: len(load.hashes) > calls + 50, "more calls", 20)
    assert load.failures == [], brief.logs()
    assert len(load.certificates) >= 2
