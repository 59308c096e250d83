"""Access tokens: only identity's, only in their time, only for us; keys read once a second."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import OctKey

from mesh.runtime import tokens
from mesh.runtime.errors import MeshError
from mesh.runtime.tokens import PublicKey, Verifier
from tests.support.made_tokens import Signer, claims

USER = uuid.uuid4()
SIGNER = Signer("first")


class Keys:
    """Identity's key service: what it has, and how often it was asked."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.asked = 0
        self.fails = False

    async def __call__(self) -> list[PublicKey]:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.fails:
            raise ConnectionError("identity is away")
        return [signer.public for signer in self.signers]


async def refusal(token: str, verifier: Verifier | None = None) -> str:
    with pytest.raises(MeshError) as refused:
        await (verifier or Verifier(Keys(SIGNER))).verify(token)
    return refused.value.reason


async def test_a_token_speaks_for_its_user() -> None:
    token = SIGNER.token(USER, ["a.read", "b.write"], ["coach"])
    user = await Verifier(Keys(SIGNER)).verify(token)
    assert (user.id, user.name) == (USER, f"users/{USER}")
    assert user.scopes == {"a.read", "b.write"}
    assert user.roles == {"coach"}


def unsecured() -> str:
    header = {"alg": "none", "kid": SIGNER.key_id, "typ": "at+jwt"}
    parts = [json.dumps(part).encode() for part in (header, claims(USER))]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def by_the_public_key_as_a_secret() -> str:
    secret = OctKey.import_key(SIGNER.public.raw)
    header = {"alg": "HS256", "kid": SIGNER.key_id}
    return jwt.encode(header, claims(USER), secret, algorithms=["HS256"])


def by_a_key_that_it_brings_itself() -> str:
    forger = Signer("first")
    return forger.sign(claims(USER), jwk=forger.jwk.as_dict(private=False))


def with_another_body() -> str:
    head, _, signature = SIGNER.token(USER).split(".")
    _, body, _ = SIGNER.token(uuid.uuid4()).split(".")
    return f"{head}.{body}.{signature}"


def with_claims(**other: object) -> Callable[[], str]:
    return lambda: SIGNER.sign(claims(USER) | other)


def without(claim: str) -> Callable[[], str]:
    return lambda: SIGNER.sign({k: v for k, v in claims(USER).items() if k != claim})


@pytest.mark.parametrize(
    "made",
    [
        unsecured,
        by_the_public_key_as_a_secret,
        by_a_key_that_it_brings_itself,
        with_another_body,
        lambda: Signer("first").token(USER),
        lambda: Signer("unknown").token(USER),
        lambda: SIGNER.token(USER)[:-6],
        lambda: SIGNER.token(USER).rsplit(".", 1)[0],
        lambda: SIGNER.token(USER, ["x" * tokens.LONGEST_TOKEN]),
        lambda: jws.serialize_compact(
            {"alg": "EdDSA", "kid": "first"}, b"no json", SIGNER.jwk, algorithms=["EdDSA"]
        ),
        lambda: jws.serialize_compact(
            {"alg": "EdDSA", "kid": "first"}, b"[1]", SIGNER.jwk, algorithms=["EdDSA"]
        ),
        with_claims(iss="https://elsewhere"),
        with_claims(aud="another"),
        # Made when it is tried: the tests before it may take that long.
        lambda: SIGNER.sign(claims(USER) | {"iat": int(time.time()) + 60}),
        with_claims(exp=int(time.time()) - 10_000),
        with_claims(exp="tomorrow"),
        with_claims(exp=True),
        with_claims(exp=float("inf")),
        with_claims(sub="somebody"),
        with_claims(roles="admin"),
        *(without(claim) for claim in ("iss", "aud", "sub", "sid", "iat", "exp")),
    ],
)
async def test_what_identity_did_not_sign_for_us_now_is_refused(made: Callable[[], str]) -> None:
    assert await refusal(made()) == "TOKEN_INVALID"


def encoded(header: object) -> str:
    text = header if isinstance(header, str) else json.dumps(header)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode() + ".e30.AAAA"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
@example("..")
@example("a.b.c")
@example(encoded([]))
@example(encoded("1"))
@example(encoded({"alg": "EdDSA"}))
@example(encoded({"alg": "EdDSA", "kid": None}))
@example(encoded({"alg": "EdDSA", "kid": ["first"]}))
@example(encoded({"alg": "EdDSA", "kid": {"a": 1}}))
@example(encoded({"alg": ["EdDSA"], "kid": "first"}))
@example(encoded("[" * 4000))
@example(encoded('{"a":' * 1500))
@example(encoded({"alg": "EdDSA", "kid": "first", "crit": ["b64"], "b64": False}))
def test_whatever_is_sent_as_a_token_is_refused_as_one(text: str) -> None:
    assert asyncio.run(refusal(text)) == "TOKEN_INVALID"


async def test_a_token_whose_time_is_over_is_late_even_when_it_was_known() -> None:
    now = [time.time()]
    verifier = Verifier(Keys(SIGNER), clock=lambda: now[0])
    token = SIGNER.token(USER)
    await verifier.verify(token)
    now[0] += 901
    assert await refusal(token, verifier) == "TOKEN_EXPIRED"
    assert await refusal(SIGNER.token(USER, lifetime_s=-60)) == "TOKEN_EXPIRED"


async def test_a_clock_that_is_a_little_ahead_is_forgiven() -> None:
    ahead = SIGNER.sign(claims(USER) | {"iat": int(time.time()) + tokens.LEEWAY_S})
    assert (await Verifier(Keys(SIGNER)).verify(ahead)).id == USER


async def test_keys_are_read_when_a_new_one_signs_at_most_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "REREAD_EVERY_S", 0.5)
    keys = Keys(SIGNER)
    verifier = Verifier(keys)
    await verifier.verify(SIGNER.token(USER))
    assert keys.asked == 1
    for number in range(50):
        assert await refusal(Signer(f"made up {number}").token(USER), verifier) == "TOKEN_INVALID"
    assert keys.asked == 1
    second = Signer("second")
    keys.signers.append(second)
    await asyncio.sleep(0.5)
    await verifier.verify(second.token(USER))
    assert keys.asked == 2


async def test_calls_at_the_same_instant_wait_for_the_same_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "REREAD_EVERY_S", 0.1)
    second = Signer("second")
    keys = Keys(SIGNER)
    verifier = Verifier(keys)
    first = await asyncio.gather(*(verifier.verify(SIGNER.token(USER)) for _ in range(20)))
    assert [user.id for user in first] == [USER] * 20
    assert keys.asked == 1
    keys.signers.append(second)
    await asyncio.sleep(0.1)
    later = await asyncio.gather(*(verifier.verify(second.token(USER)) for _ in range(20)))
    assert [user.id for user in later] == [USER] * 20
    assert keys.asked == 2


async def test_without_any_key_nothing_can_be_said_and_identity_is_asked_again() -> None:
    keys = Keys(SIGNER)
    keys.fails = True
    verifier = Verifier(keys)
    assert await refusal(SIGNER.token(USER), verifier) == "UNAVAILABLE"
    keys.fails = False
    assert (await verifier.verify(SIGNER.token(USER))).id == USER


async def test_identity_away_leaves_the_known_keys() -> None:
    keys = Keys(SIGNER)
    verifier = Verifier(keys)
    await verifier.verify(SIGNER.token(USER))
    keys.fails = True
    assert await refusal(Signer("unknown").token(USER), verifier) == "TOKEN_INVALID"
    assert (await verifier.verify(SIGNER.token(USER, ["another"]))).id == USER


async def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_CACHED", 3)
    verifier = Verifier(Keys(SIGNER))
    for number in range(6):
        await verifier.verify(SIGNER.token(USER, [f"scope-{number}"]))
    assert len(verifier._users) == 3
