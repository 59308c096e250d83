"""The import contracts bite: each planted violation is caught, and the clean tree passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import protos

PACKAGES = (
    "mesh",
    "services",
    "gateway",
    "clients/python/palestra_client",
    "clients/watch/palestra_watch",
    "build/gen/python/palestra",
)
PATHS = (".", "build/gen/python", "clients/python", "clients/watch")
# Which contract forbids it, where it is planted, and what is imported there.
PLANTED = [
    ("services-apart", "services/identity/service.py", "services.training.service"),
    ("services-apart", "services/training/activities/flow.py", "services.identity.auth.rules"),
    ("rules-pure", "services/identity/auth/rules.py", "grpc"),
    ("rules-pure", "services/identity/auth/rules.py", "google.protobuf.message"),
    ("rules-pure", "services/identity/auth/rules.py", "palestra.identity.v1.profile_pb2"),
    ("rules-pure", "services/identity/auth/rules.py", "sqlalchemy"),
    ("rules-pure", "services/training/tracker/rules/columns.py", "redis.asyncio"),
    ("rules-pure", "services/training/tracker/rules/columns.py", "httpx"),
    ("rules-pure", "services/training/activities/rules/laps.py", "mesh.runtime.ids"),
    ("rules-pure", "services/identity/auth/rules.py", "services.identity.auth.store"),
    ("rpc", "services/identity/auth/rpc.py", "services.identity.auth.store"),
    ("rpc", "services/identity/auth/rpc.py", "services.identity.tables"),
    ("rpc", "services/training/activities/rpc.py", "sqlalchemy"),
    ("flow", "services/identity/auth/flow.py", "services.identity.auth.rpc"),
    ("flow", "services/identity/auth/flow.py", "services.identity.tables"),
    ("flow", "services/training/activities/flow.py", "psycopg"),
    ("store", "services/identity/auth/store.py", "services.identity.auth.flow"),
    ("store", "services/identity/auth/store.py", "palestra.identity.v1.profile_pb2"),
    ("store", "services/identity/auth/store.py", "google.protobuf.message"),
    ("events", "services/identity/events.py", "services.identity.auth.flow"),
    ("events", "services/identity/events.py", "sqlalchemy"),
    ("handlers", "services/training/handlers.py", "services.training.tracker.store"),
    ("handlers", "services/identity/jobs.py", "services.identity.auth.store"),
    ("service", "services/identity/service.py", "palestra.identity.v1.profile_pb2"),
    ("service", "services/identity/service.py", "grpc"),
    ("services-below", "services/identity/service.py", "gateway.routes"),
    ("services-below", "services/identity/auth/flow.py", "mesh.local.places"),
    ("services-policy", "services/identity/auth/flow.py", "mesh.catalog"),
    ("runtime", "mesh/runtime/gate.py", "services.identity.auth.rules"),
    ("runtime", "mesh/runtime/gate.py", "gateway.routes"),
    ("runtime", "mesh/policy.py", "mesh.control.plane"),
    ("policy", "mesh/policy.py", "mesh.runtime.errors"),
    ("policy", "mesh/catalog.py", "grpc"),
    ("control", "gateway/routes.py", "services.identity.auth.rules"),
    ("control", "mesh/control/plane.py", "mesh.runtime.errors"),
    ("control", "gateway/pages.py", "mesh.runtime.errors"),
    ("edge-processes", "gateway/web/app.py", "mesh.control.plane"),
    ("edge-processes", "gateway/web/app.py", "services.identity.auth.rules"),
    ("edge-processes", "gateway/limiter/rpc.py", "mesh.control.plane"),
    ("edge-data", "mesh/control/render.py", "gateway.web.app"),
    ("edge-data", "mesh/control/render.py", "gateway.limiter.asked"),
    ("edge-data", "gateway/pages.py", "starlette"),
    ("local", "mesh/local/cli/stack.py", "services.identity.service"),
    ("clients", "clients/python/palestra_client/__init__.py", "services.identity.auth.rules"),
    ("clients", "clients/python/palestra_client/__init__.py", "mesh.policy"),
    ("clients", "clients/watch/palestra_watch/__init__.py", "gateway.routes"),
    ("client", "clients/python/palestra_client/__init__.py", "palestra_watch"),
]


def contracts() -> set[str]:
    settings = tomllib.loads((protos.ROOT / "pyproject.toml").read_text())
    return {each["id"] for each in settings["tool"]["importlinter"]["contracts"]}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that the contracts are about."""
    root = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            protos.ROOT / package,
            root / package,
            ignore=lambda folder, names: [
                name
                for name in names
                if name == "__pycache__"
                or not (name.endswith(".py") or (Path(folder) / name).is_dir())
            ],
        )
    (root / "scripts").mkdir()
    for name in ("__init__.py", "import_contracts.py"):
        shutil.copy(protos.ROOT / "scripts" / name, root / "scripts" / name)
    shutil.copy(protos.ROOT / "pyproject.toml", root)
    return root


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    return subprocess.run(
        [program, "--no-cache", "--no-logo", *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(tree / path) for path in PATHS)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def planted(file: Path, text: str) -> Iterator[None]:
    clean = file.read_text() if file.exists() else None
    file.write_text((clean or "") + text)
    try:
        yield
    finally:
        if clean is None:
            file.unlink()
        else:
            file.write_text(clean)


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert f"{len(contracts())} kept, 0 broken" in done.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert {contract for contract, _, _ in PLANTED} == contracts()


@pytest.mark.parametrize(("contract", "file", "imported"), PLANTED)
def test_a_planted_violation_is_caught(tree: Path, contract: str, file: str, imported: str) -> None:
    culprit = file.removesuffix(".py").removesuffix("/__init__")
    module = culprit.split("clients/")[-1].removeprefix("python/").removeprefix("watch/")
    with planted(tree / file, f"\nimport {imported}\n"):
        done = lint(tree, "--contract", contract)
    assert done.returncode == 1, done.stdout
    assert "0 kept, 1 broken" in done.stdout
    assert module.replace("/", ".") in done.stdout


def test_a_violation_in_a_new_module_of_a_rules_package_is_caught(tree: Path) -> None:
    with planted(tree / "services/training/tracker/rules/planted.py", "import grpc\n"):
        done = lint(tree, "--contract", "rules-pure")
    assert done.returncode == 1
    assert "services.training.tracker.rules.planted may not import grpc" in done.stdout


def test_an_import_for_types_only_counts(tree: Path) -> None:
    text = "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import grpc\n"
    with planted(tree / "services/identity/auth/rules.py", text):
        assert lint(tree, "--contract", "rules-pure").returncode == 1
