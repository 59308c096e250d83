"""Every cell of the access table, called: the real gate answers as the table says."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from mesh import policy
from mesh.runtime.tokens import PublicKey
from scripts import access_table
from tests.support import mesh_calls, standin_services
from tests.support.access_cases import Case, Kind, cases
from tests.support.made_tokens import Signer

IDENTITY = Signer("identitys-key")
# Signed by another hand under identity's key id: only the signature tells.
FORGER = Signer("identitys-key")
CASES = list(cases(policy.load()))
BY_METHOD: dict[str, list[Case]] = defaultdict(list)
for _case in CASES:
    BY_METHOD[_case.method.path].append(_case)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A way to every method of the contract, behind the real gate."""

    async def keys() -> list[PublicKey]:
        return [IDENTITY.public]

    # pytest's own folders are too deep for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="pal-"))
    services = standin_services.generated(policy.load())
    server, address = await standin_services.serve(
        folder, [standin_services.standin(each) for each in services], keys
    )
    async with mesh_calls.channel(address) as opened:
        yield opened
    await server.drain(0, 0)
    shutil.rmtree(folder)


def token(case: Case) -> str:
    if case.token.kind is Kind.NONE:
        return ""
    signer = FORGER if case.token.kind is Kind.FORGED else IDENTITY
    lifetime_s = -60 if case.token.kind is Kind.EXPIRED else 900
    return signer.token(case.token.user, case.token.scopes, case.token.roles, lifetime_s=lifetime_s)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", sorted(BY_METHOD))
async def test_the_gate_answers_as_the_table_says(path: str, channel: grpc.aio.Channel) -> None:
    found = {}
    expected = {}
    for case in BY_METHOD[path]:
        metadata = mesh_calls.headers(standin_services.PROOF, case.caller, token(case))
        answer = await mesh_calls.outcome(channel, case.method, case.request, metadata)
        found[str(case)] = answer
        # Behind the gate stand-ins answer everyone: what flow decides is not theirs.
        expected[str(case)] = case.expected.replace(access_table.FLOW, access_table.OK)
    assert found == expected


def test_every_cell_with_a_meaning_has_a_live_case() -> None:
    for path, method in policy.load().methods.items():
        cells = access_table.row(method)
        meaningful = {name for name in access_table.COLUMNS if cells[name] != access_table.NONE}
        assert {case.column for case in BY_METHOD[path]} == meaningful


@pytest.mark.parametrize("column", access_table.COLUMNS)
def test_every_column_has_a_live_case(column: str) -> None:
    assert any(case.column == column for case in CASES)
