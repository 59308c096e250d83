"""The archives: always the same bytes, and a client comes out of them with one command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from gateway import downloads
from gateway.published import tarball, zipped
from mesh import policy
from scripts import openapi, protos

_USE = """
import sys
sys.path[:0] = sys.argv[1:]
from palestra.training.v1 import activity_pb2, activity_service_pb2_grpc
from palestra.mesh.v1 import errors_pb2
assert errors_pb2.ErrorReason.Value("ERROR_REASON_TOKEN_EXPIRED")
assert activity_service_pb2_grpc.ActivityServiceStub
sent = activity_pb2.Activity(name="users/me/activities/1", sample_count=7).SerializeToString()
assert activity_pb2.Activity.FromString(sent).sample_count == 7
assert sys.argv[1] in activity_pb2.__file__
print("used")
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as somebody who downloaded it has it."""
    folder = tmp_path_factory.mktemp("archive")
    with zipfile.ZipFile(protos.GENERATED / downloads.ZIP) as archive:
        archive.extractall(folder)
    return folder


def buf(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the buf of the lock, without a network's help."""
    binary = Path(sysconfig.get_path("scripts")) / "buf"
    return subprocess.run(
        [binary, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_one_contract_has_one_archive() -> None:
    contract = policy.DESCRIPTOR_SET.read_bytes()
    made = openapi.contents(contract)
    assert made == openapi.contents(contract)
    for name, content in made.items():
        assert (protos.GENERATED / name).read_bytes() == content


def test_order_and_clock_do_not_change_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"b/two": b"2", "a": b"1"}
    first = zipped(files), tarball(files)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert (zipped(dict(reversed(files.items()))), tarball(dict(reversed(files.items())))) == first


def test_both_archives_hold_the_same() -> None:
    with zipfile.ZipFile(protos.GENERATED / downloads.ZIP) as archive:
        zipped_files = {name: archive.read(name) for name in archive.namelist()}
    content = (protos.GENERATED / downloads.TARBALL).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive_:
        members = {each.name: archive_.extractfile(each) for each in archive_.getmembers()}
        files = {name: file.read() for name, file in members.items() if file is not None}
    assert files == zipped_files
    assert {"README.md", "buf.yaml", "buf.gen.yaml", downloads.DESCRIPTORS} <= files.keys()
    assert {"buf.gen.go.yaml", "buf.gen.ts.yaml"} <= files.keys()


def test_protoc_makes_a_python_client_of_it(unpacked: Path, tmp_path: Path) -> None:
    files = [
        path.relative_to(unpacked).as_posix()
        for part in ("palestra", "buf")
        for path in sorted((unpacked / part).rglob("*.proto"))
    ]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I."]
    outs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([*command, *outs, *files], cwd=unpacked, check=True)
    # Without `site`, which would put this checkout's own stubs on the path.
    libraries = sysconfig.get_path("purelib")
    used = subprocess.run(
        [sys.executable, "-S", "-c", _USE, str(tmp_path), libraries],
        capture_output=True,
        text=True,
        check=True,
    )
    assert used.stdout == "used\n"


def test_java_has_a_file_for_each_message() -> None:
    whole = descriptor_pb2.FileDescriptorSet.FromString(
        (protos.GENERATED / downloads.DESCRIPTORS).read_bytes()
    )
    ours = [file for file in whole.file if file.package.startswith("palestra.")]
    assert ours
    for file in ours:
        assert file.options.java_package == f"com.{file.package}"
        assert file.options.java_multiple_files


def test_buf_builds_and_lints_it_offline(unpacked: Path) -> None:
    for verb in ("build", "lint"):
        done = buf(unpacked, verb)
        assert done.returncode == 0, done.stdout + done.stderr


def test_buf_generates_from_it(unpacked: Path, tmp_path: Path) -> None:
    protoc = [sys.executable, "-m", "grpc_tools.protoc"]
    plugin = {"protoc_builtin": "python", "protoc_path": protoc, "out": str(tmp_path)}
    template = json.dumps({"version": "v2", "plugins": [plugin]})
    done = buf(unpacked, "generate", "--template", template)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "palestra" / "training" / "v1" / "activity_service_pb2.py").is_file()


def test_bufs_own_template_can_be_read(unpacked: Path) -> None:
    # Its plugins are on buf's own server; all else of it buf checks before it asks there.
    said = buf(unpacked, "config", "ls-modules")
    assert said.returncode == 0, said.stderr
    template = (unpacked / "buf.gen.yaml").read_text()
    assert "remote: buf.build/bufbuild/es" in template


def test_the_instructions_name_every_file_that_they_need(unpacked: Path) -> None:
    text = (unpacked / "README.md").read_text()
    assert "buf generate" in text
    assert downloads.DESCRIPTORS in text
