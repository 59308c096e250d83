"""Every cell of the access table, called for real: edge, certificates, node proxy, gate.

What is called by whom is `access_cases`'s; tokens are signed with identity's own key, so
that each has exactly the scopes, roles and times that its case asks for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from mesh import catalog, policy
from scripts import access_table
from tests.support import mesh_calls, workloads
from tests.support.access_cases import NAMELESS, STRANGER, Case, Kind, cases
from tests.support.made_tokens import Signer
from tests.support.signing_keys import identitys_own
from tests.support.whole_stack import WholeStack

BY_METHOD: dict[str, list[Case]] = defaultdict(list)
for _case in cases(policy.load()):
    # Here even the handshake refuses a certificate without a name: a test of its own below.
    if _case.caller != NAMELESS:
        BY_METHOD[_case.method.path].append(_case)
COMMITTED = {
    f"/{line.split()[0]}": dict(zip(access_table.COLUMNS, line.split()[1:], strict=False))
    for line in access_table.TABLE.read_text().splitlines()
    if line.startswith("palestra.")
}
_REFUSALS = frozenset(
    cell
    for cells in COMMITTED.values()
    for cell in cells.values()
    if cell not in (access_table.OK, access_table.FLOW, access_table.NONE)
)
Ways = dict[tuple[str | None, str], grpc.aio.Channel]
"""From a workload (None: past the mesh) to a service."""


@pytest.fixture(scope="module")
def signers(stack: WholeStack) -> tuple[Signer, Signer]:
    """Identity's own key, and another one under the same id."""
    own = identitys_own(stack)
    return own, Signer(own.key_id)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ways(stack: WholeStack) -> AsyncIterator[Ways]:
    """A channel for each way that any case takes; opened as it is first used."""
    found: Ways = {}
    edge = workloads.through_the_edge(stack)
    for case in (case for some in BY_METHOD.values() for case in some):
        way = (case.caller, case.method.service)
        if way in found:
            continue
        if case.caller is None:
            found[way] = workloads.past_the_mesh(stack, case.method.service)
        else:
            found[way] = workloads.as_workload(stack, case.caller, case.method.service)
    yield found | {(catalog.EDGE, "edge"): edge}
    for channel in [edge, *found.values()]:
        await channel.close(None)


def _channel(case: Case, ways: Ways) -> grpc.aio.Channel:
    """People come through the edge; workloads, the edge posing as one included, by themselves.

    So do the edge's own processes, which call what nobody outside may.
    """
    outside = case.method.policy.access != policy.SERVICE and case.column != "wrong_service"
    if case.caller == catalog.EDGE and outside:
        return ways[catalog.EDGE, "edge"]
    return ways[case.caller, case.method.service]


def _token(case: Case, signers: tuple[Signer, Signer]) -> str:
    if case.token.kind is Kind.NONE:
        return ""
    identity, forger = signers
    signer = forger if case.token.kind is Kind.FORGED else identity
    lifetime_s = -60 if case.token.kind is Kind.EXPIRED else 900
    return signer.token(case.token.user, case.token.scopes, case.token.roles, lifetime_s=lifetime_s)


async def _answer(case: Case, channel: grpc.aio.Channel, token: str) -> str:
    """As in the table's cell: a method that ran is OK, whatever it made of the request."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        await _call(case, channel, metadata)
    except grpc.aio.AioRpcError as error:
        told = mesh_calls.refusal(error)
        (info,) = mesh_calls.infos(error)
        if told in _REFUSALS:
            return told
        own = info.reason in case.method.policy.errors and info.domain == case.method.domain
        return access_table.OK if own or info.reason == "INVALID_FIELD" else told
    return access_table.OK


async def _call(case: Case, channel: grpc.aio.Channel, metadata: mesh_calls.Headers) -> None:
    method, packed = case.method, case.request.SerializeToString()
    limit_s = mesh_calls.LIMIT_S
    if method.descriptor.client_streaming:
        both = channel.stream_stream(method.path, None, None)
        # Nothing is said: who may speak is decided before, and grpc.aio puts an error of its
        # own in the place of the server's where a call ends while it writes.
        async for _ in both(iter(()), metadata=metadata, timeout=limit_s):
            pass
    elif method.descriptor.server_streaming:
        down = channel.unary_stream(method.path, None, None)
        answers = down(packed, metadata=metadata, timeout=limit_s)
        # Some never end; whoever hears the first one was let in.
        async for _ in answers:
            answers.cancel()
            return
    else:
        await channel.unary_unary(method.path, None, None)(
            packed, metadata=metadata, timeout=limit_s
        )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", sorted(BY_METHOD))
async def test_the_mesh_answers_as_the_committed_table_says(
    path: str, ways: Ways, signers: tuple[Signer, Signer]
) -> None:
    found = {}
    expected = {}
    for case in BY_METHOD[path]:
        found[str(case)] = await _answer(case, _channel(case, ways), _token(case, signers))
        cell = COMMITTED[path][case.column]
        # Others' things that flow decides on are not there at all: it ran.
        expected[str(case)] = cell.replace(access_table.FLOW, access_table.OK)
    assert found == expected


def test_every_meaningful_cell_of_the_committed_table_is_called() -> None:
    for path, cells in COMMITTED.items():
        meaningful = {column for column, cell in cells.items() if cell != access_table.NONE}
        assert {case.column for case in BY_METHOD[path]} == meaningful
    assert sorted(COMMITTED) == sorted(BY_METHOD)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_only_services_may_call_is_not_there_outside(
    ways: Ways, signers: tuple[Signer, Signer]
) -> None:
    told = {}
    for path, some in BY_METHOD.items():
        case = some[0]
        if case.method.policy.access == policy.SERVICE:
            token = signers[0].token(case.token.user, case.token.scopes, case.token.roles)
            told[path] = await _answer(case, ways[catalog.EDGE, "edge"], token)
    assert len(told) > len(catalog.SERVICES)
    assert told == dict.fromkeys(told, "UNIMPLEMENTED/METHOD_UNKNOWN")


@pytest.mark.parametrize("service", [each.name for each in catalog.SERVICES])
async def test_a_certificate_without_a_name_does_not_come_through_the_handshake(
    stack: WholeStack, service: str
) -> None:
    case = _one_of(service)
    channel = workloads.as_workload(stack, NAMELESS, service)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mesh_calls.call(channel, case.method, case.request, ())
    await channel.close(None)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    # The same with a name is answered by the mesh itself.
    channel = workloads.as_workload(stack, STRANGER, service)
    answer = await mesh_calls.outcome(channel, case.method, case.request, ())
    await channel.close(None)
    assert answer == access_table.CALLER_REFUSED


@pytest.mark.parametrize("service", [each.name for each in catalog.SERVICES])
async def test_a_guessed_proof_is_no_proof(stack: WholeStack, service: str) -> None:
    case = _one_of(service)
    channel = workloads.past_the_mesh(stack, service)
    headers = mesh_calls.headers("0" * 64, catalog.EDGE)
    answer = await mesh_calls.outcome(channel, case.method, case.request, headers)
    await channel.close(None)
    assert answer == access_table.OUTSIDE_MESH


def _one_of(service: str) -> Case:
    return next(
        case for some in BY_METHOD.values() for case in some if case.method.service == service
    )
