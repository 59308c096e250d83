"""The mesh changes while a stream is open, and the stream does not notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import grpc
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.control.resources import retries
from palestra.identity.v1 import profile_service_pb2, profile_service_pb2_grpc
from tests.support.mesh_stack import MeshStack, until, write_json
from tests.system.mesh.test_edge_rest import reason, seen

GET_PROFILE = "/palestra.identity.v1.ProfileService/GetProfile"
WATCH = "/v1/users/me/activities/a1:watch"


class Watcher:
    """One open stream, read all the time."""

    def __init__(self, mesh: MeshStack) -> None:
        self.beats = 0
        self.ended = threading.Event()
        self._closing = False
        self._client = httpx.Client(
            base_url=mesh.url, headers={"authorization": f"Bearer {mesh.token()}"}, timeout=5
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._client.stream("GET", WATCH) as answer:
                for _ in answer.iter_lines():
                    self.beats += 1
                    if self._closing:
                        return
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def close(self) -> None:
        self._closing = True
        self._thread.join(timeout=10)
        self._client.close()


@contextmanager
def uncut(mesh: MeshStack) -> Iterator[Watcher]:
    """A stream that must be open, and moving, before and after."""
    watcher = Watcher(mesh)
    try:
        until(lambda: watcher.beats > 2, "the stream to run")
        yield watcher
        after = watcher.beats
        until(lambda: watcher.beats > after + 5, "the stream to go on")
        assert not watcher.ended.is_set()
    finally:
        watcher.close()


def answers(mesh: MeshStack) -> bool:
    """Whether the edge serves a signed-in user."""
    try:
        answer = httpx.get(f"{mesh.url}/v1/users/me", headers=bearer(mesh.token()))
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_limit_changes(mesh: MeshStack, user: httpx.Client) -> None:
    limit = {GET_PROFILE: {"limit": {"requests": 3, "window_s": 60}}}
    with uncut(mesh):
        try:
            mesh.settle("edge", lambda: mesh.write_overrides(limit))
            answers = [user.get("/v1/users/me") for _ in range(5)]
            assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
            assert reason(answers[-1]) == (429, 8, "OVERLOADED")
            # A call every twenty seconds: one of them is soon to be had again.
            assert 0 < int(answers[-1].headers["retry-after"]) <= 20
            # gRPC calls of the method are counted with them.
            with grpc.insecure_channel(mesh.target) as channel:
                stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
                metadata = (("authorization", user.headers["authorization"]),)
                request = profile_service_pb2.GetProfileRequest(name="users/me")
                with pytest.raises(grpc.RpcError) as caught:
                    stub.GetProfile(request, metadata=metadata, timeout=5)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            # Somebody else has a bucket of his own.
            other = httpx.get(f"{mesh.url}/v1/users/me", headers=bearer(mesh.token()))
            assert other.status_code == 200
        finally:
            mesh.settle("edge", lambda: mesh.write_overrides({}))
        assert user.get("/v1/users/me").status_code == 200


def test_an_open_method_is_limited_by_address(mesh: MeshStack, rest: httpx.Client) -> None:
    limit = {"/palestra.identity.v1.AuthService/Register": {"limit": {"requests": 2}}}
    try:
        mesh.settle("edge", lambda: mesh.write_overrides(limit))
        answers = [rest.post("/v1/auth:register", json={"email": "a@b"}) for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
    finally:
        mesh.settle("edge", lambda: mesh.write_overrides({}))


def test_a_deadline_changes_on_every_hop(mesh: MeshStack, user: httpx.Client) -> None:
    shorter = {GET_PROFILE: {"timeout_ms": 300}}
    with uncut(mesh):
        try:
            mesh.settle("edge", lambda: mesh.write_overrides(shorter))
            took_s = []
            for _ in range(3):
                before = time.monotonic()
                assert reason(user.get("/v1/users/slow")) == (504, 4, "DEADLINE_EXCEEDED")
                took_s.append(time.monotonic() - before)
            # By the contract's own each would take 1 s; a core that the host takes away, one.
            assert min(took_s) < 0.9
        finally:
            mesh.settle("edge", lambda: mesh.write_overrides({}))


def test_a_new_key_opens_and_a_removed_key_closes(mesh: MeshStack, rest: httpx.Client) -> None:
    def publish(*key_ids: str) -> None:
        for gone in set(mesh.keys) - set(key_ids):
            del mesh.keys[gone]
        for new in set(key_ids) - set(mesh.keys):
            mesh.keys[new] = Ed25519PrivateKey.generate()
        mesh.write_keys()

    old = mesh.token("k1")
    kept = mesh.keys["k1"]
    with uncut(mesh):
        mesh.settle("edge", lambda: publish("k2", "k1"))
        assert mesh.control_json()["key_ids"] == ["k1", "k2"]
        for token in (mesh.token("k2"), old):
            assert rest.get("/v1/users/me", headers=bearer(token)).status_code == 200
        mesh.settle("edge", lambda: publish("k2"))
        # Although the edge has verified this very token before.
        answer = rest.get("/v1/users/me", headers=bearer(old))
        assert reason(answer) == (401, 16, "TOKEN_INVALID")
        mesh.keys["k1"] = kept
        mesh.settle("edge", lambda: publish("k1"))


def test_workers_come_and_go(mesh: MeshStack, user: httpx.Client) -> None:
    def answering() -> set[str]:
        return {seen(user.get("/v1/users/me"))["worker"] for _ in range(8)}

    with uncut(mesh):
        mesh.start_worker("identity", 1)
        mesh.hand_over("identity", [0, 1])
        until(lambda: answering() == {"0", "1"}, "both workers to answer")
        mesh.hand_over("identity", [1])
        assert answering() == {"1"}
        mesh.hand_over("identity", [0])
        until(lambda: user.get("/v1/users/me").status_code == 200, "worker 0 to answer again")
        mesh.end("identity-1")


def test_a_worker_restarts_under_load_and_no_read_fails(mesh: MeshStack) -> None:
    statuses: list[int] = []
    refusals: list[str] = []
    done = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=mesh.url, headers=bearer(mesh.token()), timeout=10) as client:
            while not done.is_set():
                answer = client.get("/v1/users/me/activities/a1")
                if answer.status_code != 200:
                    refusals.append(f"call {len(statuses)}: {answer.text}")
                statuses.append(answer.status_code)
                time.sleep(0.005)

    mesh.start_worker("training", 1)
    mesh.hand_over("training", [0, 1])
    with httpx.Client(base_url=mesh.url, headers=bearer(mesh.token()), timeout=10) as client:
        activity = "/v1/users/me/activities/a1"
        until(
            lambda: client.get(activity).json()["activity"]["title"] == "1",
            "the second worker to answer",
        )
    thread = threading.Thread(target=load)
    thread.start()

    def more_calls(count: int) -> None:
        # Counted, not timed: a slow machine is to be asked as often as a quick one.
        wanted = len(statuses) + count
        until(lambda: len(statuses) >= wanted, f"{count} more calls", 60)

    try:
        # The edge tries again only while most calls succeed: these give back what refusals of
        # the tests before have taken.
        more_calls(ceil(retries.TOKENS / retries.REFILL))
        mesh.kill("training-1")
        more_calls(50)
        mesh.start_worker("training", 1)
        more_calls(100)
        mesh.end("training-1")
        more_calls(30)
    finally:
        done.set()
        thread.join()
        mesh.hand_over("training", [0])
    assert len(statuses) > 100
    assert not refusals


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("endpoints.json", {"nobody": []}, "endpoints.json"),
        ("endpoints.json", {"identity": ["relative.sock"]}, "endpoints.json"),
        ("overrides.json", {"methods": {"/no.Such/Method": {}}}, "overrides.json"),
        ("overrides.json", {"methods": {GET_PROFILE: {"timeout_ms": 0}}}, "slice identity"),
    ],
)
def test_an_input_that_cannot_be_followed_changes_nothing_and_shows(
    mesh: MeshStack, user: httpx.Client, name: str, content: object, shown: str
) -> None:
    def refused() -> list[str]:
        return [each["type_url"] for each in mesh.control_json()["rejected"]]

    path = mesh.state / "mesh" / name
    before = mesh.control_json()["versions"]
    write_json(path, content)
    until(lambda: refused() == [shown], "the refusal to show")
    assert mesh.control_json()["versions"] == before
    assert user.get("/v1/users/me").status_code == 200
    if name == "endpoints.json":
        mesh.write_endpoints()
    else:
        mesh.write_overrides({})
    until(lambda: not refused(), "the refusal to be over")
