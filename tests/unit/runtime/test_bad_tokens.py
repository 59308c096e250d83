"""Every bad token of the table is refused by a service by itself, with no edge before it."""

from __future__ import annotations

import pytest

from mesh.runtime.errors import MeshError
from mesh.runtime.tokens import PublicKey, Verifier
from tests.support.bad_tokens import BAD_TOKENS, BadToken
from tests.support.made_tokens import Signer
from tests.support.token_forge import USER, signed

SIGNER = Signer("01a1fe35-0000-7000-8000-00000000000a")
STRANGER = Signer("01a1fe35-0000-7000-8000-00000000000b")


async def keys() -> list[PublicKey]:
    return [STRANGER.public, SIGNER.public]


async def test_a_good_one_passes() -> None:
    assert (await Verifier(keys).verify(signed(SIGNER))).id == USER


@pytest.mark.parametrize("bad", BAD_TOKENS, ids=str)
async def test_a_bad_one_is_refused_each_time(bad: BadToken) -> None:
    verifier, token = Verifier(keys), bad.make(SIGNER)
    for _ in range(2):
        with pytest.raises(MeshError) as refused:
            await verifier.verify(token)
        assert refused.value.reason in bad.reasons


def test_the_table_names_each_once() -> None:
    assert len({bad.name for bad in BAD_TOKENS}) == len(BAD_TOKENS)
