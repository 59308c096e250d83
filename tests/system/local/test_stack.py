"""A stack's life at the command line: up, what dies, down, and all that may be in the way."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mesh.local import procfs, settled
from mesh.local.errors import StackError
from mesh.local.giving_way import BEHIND
from mesh.local.places import ROOT, Places
from tests.support.local_stack import MODULE, LocalStack, free_port, local_stack, until

RECOVERY_S = 10.0


@pytest.fixture
def stack() -> Iterator[LocalStack]:
    with local_stack() as made:
        yield made


@pytest.fixture
def running(stack: LocalStack) -> LocalStack:
    done = stack.up("--workers=training=2")
    assert done.returncode == 0, done.stderr
    return stack


def _restarted(stack: LocalStack, name: str, times: int) -> bool:
    return bool(stack.process(name)["restarts"] == times)


def sockets(stack: LocalStack, service: str, count: int) -> list[str]:
    return [str(stack.state / "run" / f"{service}-{number}.sock") for number in range(count)]


def test_up_returns_when_every_process_serves(running: LocalStack) -> None:
    done = running.palestra("status", "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    assert content["rest_url"] == f"http://127.0.0.1:{running.port}"
    assert content["grpc_target"] == f"127.0.0.1:{running.port}"
    assert content["rejected"] == []
    names = [each["name"] for each in content["processes"]]
    assert names[:3] == ["control", "node", "edge"]
    assert {"identity-0", "integration-0", "training-0", "training-1"} == set(names[3:])
    for each in content["processes"]:
        assert each["health"] == "SERVING"
        assert each["restarts"] == 0
        assert each["rss_bytes"] > 1 << 20
    assert running.endpoints()["training"] == sockets(running, "training", 2)


def test_status_shows_a_table_to_people_and_what_a_proxy_rejected(running: LocalStack) -> None:
    report = {
        "ready": True,
        "connected": ["edge", "node"],
        "rejected": [{"proxy": "edge", "type_url": "T", "version": "7", "error": "no such field"}],
    }
    (running.state / "mesh" / "control.json").write_text(json.dumps(report))
    shown = running.palestra("status").stdout
    assert "training-1" in shown
    assert "rejected by edge: T 7: no such field" in shown


def test_down_ends_everything_and_status_says_so(running: LocalStack) -> None:
    assert running.remains()
    assert running.palestra("down").returncode == 0
    assert running.remains() == []
    assert running.endpoints()["training"] == []
    assert running.palestra("status").returncode == 4
    assert running.palestra("down").stdout == "Palestra was not running.\n"


def test_ctrl_c_ends_a_stack_in_the_foreground(stack: LocalStack) -> None:
    command = [sys.executable, "-m", MODULE, "up", f"--state={stack.state}", f"--port={stack.port}"]
    environment = os.environ | {"STANDIN_TABLE": "light"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as palestra:
        assert palestra.stdout is not None
        assert b"Palestra is up" in palestra.stdout.readline()
        palestra.send_signal(signal.SIGINT)
        assert palestra.wait(30) == 0
    assert stack.remains() == []


def test_a_killed_worker_leaves_the_endpoints_and_comes_back(running: LocalStack) -> None:
    running.kill("training-0")
    only = sockets(running, "training", 2)[1:]
    until(lambda: running.endpoints()["training"] == only, 1.0, "the endpoint is gone")
    back = sockets(running, "training", 2)
    until(lambda: running.endpoints()["training"] == back, RECOVERY_S, "the endpoint is back")
    row = running.process("training-0")
    assert row["restarts"] == 1
    assert row["last_end"] == "ended by SIGKILL"
    assert running.process("training-1")["restarts"] == 0


@pytest.mark.parametrize("name", ["control", "node", "edge"])
def test_a_killed_mesh_process_is_restarted(running: LocalStack, name: str) -> None:
    running.kill(name)
    until(lambda: running.process(name)["restarts"] == 1, RECOVERY_S, f"{name} restarted")
    until(lambda: running.process(name)["state"] == "serving", RECOVERY_S, f"{name} serves")
    assert running.palestra("status").returncode == 0


def test_restarts_are_counted_and_the_waits_grow(running: LocalStack) -> None:
    ready: list[float] = []
    for kill in range(1, 4):
        running.kill("identity-0")
        begun = time.monotonic()
        until(partial(_restarted, running, "identity-0", kill), RECOVERY_S, "again")
        ready.append(time.monotonic() - begun)
        until(lambda: running.process("identity-0")["state"] == "serving", RECOVERY_S, "serves")
    for waited, expected in zip(ready, (0.2, 0.4, 0.8), strict=True):
        assert waited >= expected
    assert running.status()["processes"][3]["restarts"] == 3


def test_a_draining_worker_gets_no_traffic_until_it_serves_again(running: LocalStack) -> None:
    pid = running.process("training-0")["pid"]
    running.kill("training-0", signal.SIGUSR1)
    only = sockets(running, "training", 2)[1:]
    until(lambda: running.endpoints()["training"] == only, 2.0, "the endpoint is gone")
    assert running.palestra("status").returncode == 3
    running.kill("training-0", signal.SIGUSR2)
    back = sockets(running, "training", 2)
    until(lambda: running.endpoints()["training"] == back, 2.0, "the endpoint is back")
    assert running.process("training-0")["pid"] == pid


def during_restart(running: LocalStack, name: str, service: str) -> tuple[int, set[str]]:
    """The fewest workers with traffic while something restarts, and who was there at all."""
    fewest, seen = len(running.endpoints()[service]), set[str]()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(running.palestra, "restart", name)
        while not done.done():
            fewest = min(fewest, len(running.endpoints()[service]))
            rows = running.stack()["processes"]
            seen |= {row["name"] for row in rows if row["service"] == service}
            time.sleep(0.005)
    assert done.result().stdout.startswith(f"restarted {service}-0")
    return fewest, seen


def test_a_rolling_restart_never_leaves_fewer_workers_with_traffic(running: LocalStack) -> None:
    before = {name: running.process(name)["pid"] for name in ("training-0", "training-1")}
    fewest, seen = during_restart(running, "training", "training")
    assert (fewest, seen) == (2, {*before, "training-2"})
    assert all(running.process(name)["pid"] != pid for name, pid in before.items())
    assert running.endpoints()["training"] == sockets(running, "training", 2)


def test_the_only_worker_is_restarted_beside_a_second(running: LocalStack) -> None:
    fewest, seen = during_restart(running, "identity-0", "identity")
    assert (fewest, seen) == (1, {"identity-0", "identity-1"})


def test_workers_are_added_and_taken_away(running: LocalStack) -> None:
    done = running.palestra("scale", "training=3")
    assert done.stdout == "training: training-0, training-1, training-2\n", done.stderr
    assert running.endpoints()["training"] == sockets(running, "training", 3)
    done = running.palestra("scale", "training=1")
    assert done.stdout == "training: training-0\n"
    assert running.endpoints()["training"] == sockets(running, "training", 1)
    names = [each["name"] for each in running.stack()["processes"]]
    assert [name for name in names if name.startswith("training")] == ["training-0"]
    assert running.palestra("status").returncode == 0


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no autogroups here")
def test_a_worker_that_starts_gives_way_until_it_serves(running: LocalStack) -> None:
    def nice_of(name: str) -> int | None:
        found = {each["name"]: each["pid"] for each in running.stack()["processes"]}
        try:
            return int(Path(f"/proc/{found[name]}/autogroup").read_text().split()[-1])
        except (KeyError, OSError):
            return None

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(running.palestra, "scale", "training=3")
        seen = set()
        while not done.done():
            seen.add(nice_of("training-2"))
    assert done.result().returncode == 0, done.result().stderr
    assert BEHIND in seen
    assert {nice_of(f"training-{number}") for number in range(3)} == {0}


def test_two_changes_at_the_same_instant_follow_each_other(running: LocalStack) -> None:
    with ThreadPoolExecutor(2) as pool:
        asked = (("scale", "training=3"), ("restart", "training"))
        done = list(pool.map(lambda each: running.palestra(*each), asked))
    assert [each.returncode for each in done] == [0, 0]
    assert len(running.endpoints()["training"]) == 3


def test_a_subset_is_known_apart_and_ends_at_zero(running: LocalStack) -> None:
    done = running.palestra("scale", "training:canary=1", "--env", "COLOUR=red")
    assert done.stdout == "training:canary: training-canary-0\n", done.stderr
    path = str(running.state / "run" / "training-canary-0.sock")
    assert running.endpoints()["training:canary"] == [path]
    assert running.palestra("restart", "training:canary").returncode == 0
    other = running.palestra("scale", "training:canary=2", "--env", "COLOUR=blue")
    assert "runs other code or settings; scale it to 0 first" in other.stderr
    assert running.palestra("scale", "training:canary=0").stdout == "training:canary: none\n"
    assert "training:canary" not in running.endpoints()


def test_a_worker_that_does_not_start_is_not_kept(running: LocalStack) -> None:
    before = [each["name"] for each in running.stack()["processes"]]
    done = running.palestra("scale", "training:bad=1", "--env", "BROKEN=1")
    assert done.returncode == 1
    assert "training-bad-0 does not start: ended with status 7" in done.stderr
    assert [each["name"] for each in running.stack()["processes"]] == before
    assert "training:bad" not in running.endpoints()


def test_what_cannot_be_scaled_so_is_refused_in_a_sentence(running: LocalStack) -> None:
    for asked, words in (
        (["chess=2"], "no service 'chess'"),
        (["training=0"], "give 1 to 16"),
        (["training=17"], "give 1 to 16"),
        (["training=16"], "connections for 8 workers more"),
        (["training:Canary!=1"], "names no subset"),
        (["web:canary=1"], "is a part of the edge"),
        (["training=2", "--env", "A=b"], "only a subset may differ"),
        (["training:c=1", "--checkout", "/nowhere"], "is no checkout of Palestra"),
    ):
        done = running.palestra("scale", *asked)
        assert done.returncode == 1
        assert words in done.stderr


def test_restart_refuses_a_service_that_is_not_there(running: LocalStack) -> None:
    done = running.palestra("restart", "chess")
    assert done.returncode == 1
    assert "there is no 'chess' here; there are control, edge, identity" in done.stderr


def test_logs_show_a_services_workers_and_refuse_unknown_names(running: LocalStack) -> None:
    for number in range(2):
        log = running.state / "logs" / f"training-{number}.log"
        log.write_text("".join(f"line {each}\n" for each in range(10)))
    shown = running.palestra("logs", "training", "-n", "2").stdout
    assert shown.splitlines() == [
        "training-0 | line 8",
        "training-0 | line 9",
        "training-1 | line 8",
        "training-1 | line 9",
    ]
    refused = running.palestra("logs", "chess")
    assert refused.returncode == 1
    assert "there is no log of 'chess'" in refused.stderr


def test_a_stack_in_use_is_refused_and_not_disturbed(running: LocalStack) -> None:
    before = running.pids()
    again = running.up()
    assert again.returncode == 1
    assert "a stack is already running" in again.stderr
    assert running.pids() == before
    assert running.palestra("status").returncode == 0


def test_of_two_starts_at_the_same_instant_one_wins(stack: LocalStack) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: stack.up(), range(2)))
    assert sorted(each.returncode for each in done) == [0, 1]
    assert stack.palestra("status").returncode == 0


def test_a_taken_port_is_a_sentence_and_leaves_nothing(stack: LocalStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port))
        taken.listen()
        done = stack.up()
    assert done.returncode == 1
    assert done.stderr == (
        f"palestra: port {stack.port} is taken by another program; choose another with --port.\n"
    )
    assert stack.remains() == []


def test_a_port_that_is_shared_by_chance_is_noticed(stack: LocalStack) -> None:
    """Both starts saw the port free; SO_REUSEPORT lets both listen."""
    mesh = stack.state / "mesh"
    mesh.mkdir(parents=True)
    (mesh / "control.json").write_text('{"ready": true, "connected": ["edge", "node"]}')
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", stack.port))
            each.listen()
        with pytest.raises(StackError, match="is taken"):
            asyncio.run(_awaited(settled.check(Places(stack.state), stack.port)))


async def _awaited(check: Callable[[], Awaitable[None]]) -> None:
    await check()


def test_two_stacks_live_side_by_side(running: LocalStack) -> None:
    with local_stack() as other:
        assert other.up().returncode == 0
        assert running.palestra("status").returncode == 0
        assert other.palestra("down").returncode == 0
        assert running.palestra("status").returncode == 0
        assert set(running.pids()) <= set(running.remains())


def test_a_service_that_never_serves_fails_the_start_with_its_last_words() -> None:
    with local_stack("broken") as stack:
        done = stack.up()
        assert done.returncode == 1
        assert "does not start: ended with status 7, 3 times." in done.stderr
        assert "Its last words: no such table: athletes" in done.stderr
        assert stack.remains() == []


def test_a_folder_that_is_not_ours_is_left_alone(stack: LocalStack) -> None:
    stack.state.mkdir()
    (stack.state / "thesis.tex").write_text("mine")
    done = stack.up()
    assert done.returncode == 1
    assert "is not a state folder of Palestra (it holds thesis.tex)" in done.stderr
    assert [entry.name for entry in stack.state.iterdir()] == ["thesis.tex"]


def test_a_folder_of_another_version_is_refused(stack: LocalStack) -> None:
    stack.state.mkdir()
    (stack.state / "palestra-state.json").write_text('{"format": 0}')
    done = stack.up()
    assert done.returncode == 1
    assert "made by another version of Palestra (format 0, this one has 1)" in done.stderr


def test_a_file_in_place_of_the_folder_is_refused(stack: LocalStack) -> None:
    stack.state.write_text("")
    done = stack.up()
    assert done.returncode == 1
    assert "is not a folder; choose another --state" in done.stderr


def test_a_state_folder_too_deep_for_sockets_is_refused(stack: LocalStack) -> None:
    deep = LocalStack(stack.state / ("d" * 90), stack.port)
    done = deep.up()
    assert done.returncode == 1
    assert "107 are possible; choose a --state that is" in done.stderr
    assert deep.remains() == []


def test_unknown_services_and_absurd_numbers_are_refused(stack: LocalStack) -> None:
    for option, words in (
        ("--workers=chess=2", "no service 'chess'"),
        ("--workers=training=0", "give 1 to 16"),
        ("--workers=training=17", "give 1 to 16"),
    ):
        done = stack.up(option)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert stack.up("--workers=training").returncode == 2
    assert not stack.state.exists()


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_succeeds(
    running: LocalStack,
) -> None:
    os.kill(running.stack()["supervisor"], signal.SIGKILL)
    until(lambda: not running.remains(), 5.0, "everything ended")
    assert running.palestra("status").returncode == 4
    done = running.up()
    assert done.returncode == 0, done.stderr
    assert running.palestra("status").returncode == 0


def test_a_start_killed_half_way_is_cleaned_up_by_the_next(stack: LocalStack) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stack.up)
        until(lambda: (stack.state / "stack.json").exists() and stack.pids(), 10.0, "half way")
        os.kill(stack.stack()["supervisor"], signal.SIGKILL)
        failed = first.result()
    assert failed.returncode == 1
    assert "the supervisor ended without a word" in failed.stderr
    again = stack.up()
    assert again.returncode == 0, again.stderr


def test_leftovers_that_escaped_the_leash_are_ended_and_strangers_spared(
    running: LocalStack,
) -> None:
    row = running.process("training-0")
    running.palestra("down")
    left = subprocess.Popen(row["command"], cwd=ROOT, start_new_session=True)
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        content = running.stack()
        rows = {each["name"]: each for each in content["processes"]}
        for name, process in (("training-0", left), ("identity-0", stranger)):
            found = procfs.identify(process.pid)
            assert found is not None
            rows[name] |= {"pid": found.pid, "start_ticks": found.start_ticks}
        (running.state / "stack.json").write_text(json.dumps(content))
        assert running.up().returncode == 0
        assert left.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


def test_ctrl_c_during_a_start_leaves_nothing() -> None:
    with local_stack("broken") as stack:
        command = [sys.executable, "-m", MODULE, "up", "--detach"]
        command += [f"--state={stack.state}", f"--port={stack.port}"]
        environment = os.environ | {"STANDIN_TABLE": "broken"}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as up:
            until(lambda: (stack.state / "stack.json").exists() and stack.pids(), 10.0, "half way")
            up.send_signal(signal.SIGINT)
            assert up.wait(20) != 0
        until(lambda: not stack.remains(), 5.0, "everything ended")


ATTACHED = """
import sys, time
from pathlib import Path
from tests.support import local_stack
from mesh.local import launch, plan
launch.ENTRY = (sys.executable, "-m", local_stack.MODULE, "supervise")
with launch.attached(plan.Options(Path(sys.argv[1]), int(sys.argv[2]))) as facts:
    print(facts["rest_url"], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_attached_stack_ends_with_its_owner(stack: LocalStack, number: signal.Signals) -> None:
    command = [sys.executable, "-c", ATTACHED, str(stack.state), str(stack.port)]
    environment = os.environ | {"STANDIN_TABLE": "light"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().strip() == f"http://127.0.0.1:{stack.port}".encode()
        owner.send_signal(number)
        owner.wait(20)
    until(lambda: not stack.remains(), 10.0, "everything ended")


def test_an_idle_supervisor_uses_little_cpu(running: LocalStack) -> None:
    supervisor = running.stack()["supervisor"]

    def cpu_s() -> float:
        fields = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu_s()
    time.sleep(6)
    assert cpu_s() - before <= 0.06


@pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite runs as an ordinary user already")
def test_root_can_use_a_folder_that_others_may_enter_without_capabilities() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    folder.chmod(0o755)
    stack = LocalStack(folder / "s", free_port(), "stores")
    try:
        done = stack.up()
        assert done.returncode == 0, done.stderr
        status = Path(f"/proc/{stack.process('postgres')['pid']}/status").read_text()
        uid = next(line for line in status.splitlines() if line.startswith("Uid:"))
        assert uid.split()[1:] == ["65534"] * 4
    finally:
        stack.palestra("down")
        shutil.rmtree(folder)
