"""The state folder and the small files in it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mesh.local import credentials, logfiles, places
from mesh.local.errors import StackError


def test_a_folder_is_made_private_and_found_again(tmp_path: Path) -> None:
    first = places.prepare(tmp_path / "s")
    assert first == places.prepare(tmp_path / "s")
    assert first.run.stat().st_mode & 0o777 == 0o700
    assert first.state.stat().st_mode & 0o066 == 0


def test_an_empty_folder_of_a_start_that_was_cut_short_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".palestra-state.json.77").touch()
    assert places.prepare(tmp_path).run.is_dir()


def test_only_sockets_are_cleared_and_anything_else_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "a.sock"))
    places.clear_sockets(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b.sock").write_text("mine")
    with pytest.raises(StackError, match="is not a socket"):
        places.clear_sockets(tmp_path)
    assert (tmp_path / "b.sock").exists()


@pytest.mark.parametrize(("size", "fits"), [(107, True), (108, False)])
def test_a_socket_path_fits_up_to_107_bytes(size: int, fits: bool) -> None:
    path = Path("/" + "é" * 20 + "x" * (size - 41))
    if fits:
        places.refuse_long_sockets([path])
    else:
        with pytest.raises(StackError, match="1 bytes shorter"):
            places.refuse_long_sockets([path])


def test_passwords_are_made_once_and_added_to(tmp_path: Path) -> None:
    where = places.prepare(tmp_path / "s")
    first = credentials.ensure(where, ["identity"])
    proof = where.proof.read_text()
    second = credentials.ensure(where, ["identity", "training"])
    assert second.postgres["identity"] == first.postgres["identity"]
    assert len({*second.postgres.values(), *second.redis.values()}) == 6
    assert credentials.ensure(where, ["identity"]).postgres["training"]
    assert where.proof.read_text() == proof


def test_damaged_passwords_are_refused_and_kept(tmp_path: Path) -> None:
    where = places.prepare(tmp_path / "s")
    (where.state / "secrets.json").write_text('{"postgres": ')
    with pytest.raises(StackError, match="is damaged"):
        credentials.ensure(where, ["identity"])
    assert (where.state / "secrets.json").read_text() == '{"postgres": '


def test_a_log_over_its_bound_is_cut_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "training-0.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * logfiles.BOUND_BYTES)
        assert not logfiles.cut(log)
        writer.write(b"!")
        assert logfiles.cut(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "training-0.log.1").stat().st_size == logfiles.BOUND_BYTES + 1
