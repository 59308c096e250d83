"""Signing in with the shop: a real provider, a crooked one, everything twice and at once."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey
from sqlalchemy import func, select

from mesh.runtime import contract
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Statement
from services.identity.auth.signin import SignIn
from services.identity.factors.flow import FactorFlow
from services.identity.factors.proofs import Proof, Proofs
from services.identity.factors.rules import STEP_S, SignInTicketInvalid, hotp, step_at
from services.identity.factors.second_step import Asked, SecondStep
from services.identity.factors.store import FactorStore
from services.identity.roles.flow import RoleFlow
from services.identity.roles.store import RoleStore
from services.identity.sessions.flow import SignedIn
from services.identity.sessions.rules import RefreshTokenInvalid
from services.identity.sso import rules
from services.identity.sso.flow import Answer, Begun, SsoFlow
from services.identity.sso.opening import ShopOpening
from services.identity.sso.provider import LARGEST_ANSWER, Provider
from services.identity.sso.store import SsoStore
from services.identity.tables.auth import ACCOUNTS
from services.identity.tables.sso import SSO_LINKS
from tests.support import shops
from tests.support.identity_people import SITE
from tests.support.partners import Partners
from tests.support.shops import CLIENT_ID, SECRET, CrookedShop
from tests.support.stores import Stores
from tests.support.told_counters import Bus

BACK = "https://api.example/sso/callback"
APP = "com.example.palestra:/sso"
_ACCOUNTS = Statement(select(func.count()).select_from(ACCOUNTS))
_TOKENS = Statement(select(SSO_LINKS.c.tokens))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Monotonic:
    """Seconds that go on only when told."""

    at: float = 0.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Party:
    """The relying party on the real database."""

    partners: Partners
    provider: Provider | None
    known: set[str] = field(default_factory=set)
    data_in_shop: bool = True

    def __post_init__(self) -> None:
        sealer, sessions = Sealer((make_key(),)), self.partners.sessions
        factors, clock = FactorStore(self.partners.bus.publisher), self.partners.clock
        proofs = Proofs(factors, sealer, SITE)
        store = SsoStore(self.partners.bus.publisher)
        opening = ShopOpening(store, sessions, clock)
        roles = RoleFlow(RoleStore(self.partners.bus.publisher), contract.roles(), 900, clock)
        self.factors = FactorFlow(factors, sealer, SITE, roles.is_staff, 900, clock)
        self.second_step = SecondStep(factors, proofs, sessions, sealer, clock, opening)
        self.flow = SsoFlow(
            store=store,
            provider=self.provider,
            sessions=self.partners.sessions,
            sign_in=SignIn(sessions, self.second_step),
            opening=opening,
            sealer=sealer,
            has_account=self._has_account,
            redirect_uris=(BACK, APP),
            data_in_shop=self.data_in_shop,
            region=0,
            clock=self.partners.clock,
        )

    async def _has_account(self, email: str) -> bool:
        return email in self.known

    async def accounts(self) -> int:
        row = await self.partners.bus.publisher.row(_ACCOUNTS, {})
        assert row is not None
        return int(row[0])


def answer(begun: Begun, told: dict[str, str]) -> Answer:
    return Answer(told["code"], told["state"], told.get("iss", ""), begun.token)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(running_stores: Stores) -> AsyncIterator[Bus]:
    """One database for all: each test has people of its own."""
    made = Bus(running_stores)
    await made.renew()
    yield made
    await made.close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider that nobody here wrote."""
    with shops.real_shop() as running:
        yield running.issuer


@pytest_asyncio.fixture(loop_scope="module")
async def real(shared: Bus, issuer: str) -> AsyncIterator[Party]:
    provider = Provider(issuer, CLIENT_ID, SECRET)
    yield Party(Partners(shared), provider)
    await provider.close()


@dataclass
class Crooked(Party):
    """The same, with a shop that does as it is told."""

    shop: CrookedShop = field(kw_only=True)
    monotonic: Monotonic = field(kw_only=True)

    async def begin(self) -> tuple[Begun, Answer]:
        begun = await self.flow.start("")
        return begun, answer(begun, self.shop.come_back(begun.authorization_uri))

    async def sign_in(self) -> SignedIn:
        return await self.flow.finish((await self.begin())[1])

    async def with_totp(self) -> tuple[SignedIn, bytes]:
        """Somebody of the shop who has an authenticator app here, and its secret."""
        done = await self.sign_in()
        offer = await self.factors.create_totp(done.user_id, "Athlete")
        secret = base64.b32decode(offer.secret)
        await self.factors.confirm_totp(done.user_id, offer.token, self.code(secret))
        await self.partners.sessions.end_all(done.user_id, "begins anew")
        return done, secret

    def code(self, secret: bytes) -> str:
        return hotp(secret, step_at(self.partners.clock()))

    async def asked(self) -> str:
        """The ticket of a sign-in that waits for its second factor."""
        # The code of a step serves once.
        self.partners.clock.go_on(timedelta(seconds=STEP_S))
        with pytest.raises(Asked) as asked:
            await self.sign_in()
        return asked.value.question.ticket

    async def living(self, user_id: uuid.UUID) -> int:
        return len(await self.partners.sessions.living(user_id, None, 100))

    async def is_live(self, done: SignedIn) -> bool:
        try:
            await self.partners.sessions.refresh(done.refresh_token)
        except RefreshTokenInvalid:
            return False
        return True


@pytest_asyncio.fixture(loop_scope="module")
async def crooked(shared: Bus) -> AsyncIterator[Crooked]:
    partners, monotonic = Partners(shared), Monotonic()
    shop = CrookedShop(partners.clock, subject=f"shopper-{uuid.uuid4()}")
    provider = Provider(
        shop.issuer, CLIENT_ID, SECRET, monotonic, asking_s=0.3, transport=shop.transport
    )
    yield Crooked(partners, provider, shop=shop, monotonic=monotonic)
    await provider.close()


async def test_somebody_of_the_shop_gets_one_account_and_comes_back_to_it(real: Party) -> None:
    subject = f"vera-{uuid.uuid4()}"
    assert real.provider is not None
    shops.tell(real.provider.issuer, subject, name="Vera Shopper", email="v@shop.example")
    done = []
    for _ in range(2):
        begun = await real.flow.start("")
        told = shops.come_back(begun.authorization_uri, subject)
        done.append(await real.flow.finish(answer(begun, told)))
    assert len({each.user_id for each in done}) == 1
    user = await real.partners.user(done[0].access_token)
    assert user.amr == {"fed"}
    # His name and address stay in the shop, and are read there.
    known = await real.flow.known(done[0].user_id)
    assert (known.display_name, known.email) == ("Vera Shopper", "v@shop.example")


async def test_fifty_first_sign_ins_at_once_make_one_account(real: Party) -> None:
    subject = f"paul-{uuid.uuid4()}"
    before = await real.accounts()

    async def whole() -> SignedIn:
        begun = await real.flow.start(APP)
        told = await asyncio.to_thread(shops.come_back, begun.authorization_uri, subject)
        return await real.flow.finish(answer(begun, told))

    done = await asyncio.gather(*(whole() for _ in range(50)))
    assert len({each.user_id for each in done}) == 1
    assert len({each.session_id for each in done}) == 50
    assert await real.accounts() == before + 1


async def test_one_of_fifty_ends_a_sign_in_and_only_who_began_it(crooked: Crooked) -> None:
    begun, told = await crooked.begin()
    for stolen in (
        replace(told, token="another browser's"),
        replace(told, state="another state"),
        replace(told, token=(await crooked.flow.start("")).token),
    ):
        with pytest.raises(rules.SsoStateInvalid):
            await crooked.flow.finish(stolen)
    done = await asyncio.gather(
        *(crooked.flow.finish(told) for _ in range(50)), return_exceptions=True
    )
    assert len([each for each in done if isinstance(each, SignedIn)]) == 1
    lost = {type(each) for each in done if isinstance(each, BaseException)}
    assert lost == {rules.SsoStateInvalid}
    assert begun.token == told.token


async def test_a_sign_in_is_over_after_its_time(crooked: Crooked) -> None:
    _, told = await crooked.begin()
    crooked.partners.clock.go_on(rules.ATTEMPT_LIFETIME)
    with pytest.raises(rules.SsoStateInvalid):
        await crooked.flow.finish(told)
    await crooked.flow.forget()


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another sign-in's"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID], "azp": "another client"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": "https://shop.example/"},
        {"exp": 1},
        {"exp": None},
        {"iat": 32503680000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": 7},
    ],
)
async def test_an_id_token_that_is_not_this_sign_ins_signs_nobody_in(
    crooked: Crooked, claims: dict[str, Any]
) -> None:
    before = await crooked.accounts()
    crooked.shop.claims = claims
    with pytest.raises(rules.SsoRefused):
        await crooked.sign_in()
    assert await crooked.accounts() == before


async def test_a_token_signed_by_nobody_or_somebody_else_is_none(crooked: Crooked) -> None:
    shop = crooked.shop
    public = shop.key.as_pem(private=False)
    for header, key in (
        ({"alg": "none"}, None),
        ({"alg": "HS256"}, public),
        ({"alg": "HS256"}, SECRET.encode()),
        ({}, RSAKey.generate_key(2048, {"kid": "first"})),
        ({"kid": "unknown"}, RSAKey.generate_key(2048, {"kid": "unknown"})),
    ):
        shop.header, shop.sign_with = header, key
        with pytest.raises(rules.SsoRefused):
            await crooked.sign_in()


async def test_an_answer_of_another_server_is_a_mix_up(crooked: Crooked) -> None:
    _, told = await crooked.begin()
    with pytest.raises(rules.SsoRefused, match="another server"):
        await crooked.flow.finish(replace(told, issuer="https://evil.example"))


async def test_new_keys_of_the_shop_are_found_but_not_for_each_stranger(crooked: Crooked) -> None:
    shop = crooked.shop
    first = await crooked.sign_in()
    shop.key = RSAKey.generate_key(2048, {"kid": "second"})
    crooked.monotonic.at += 60
    assert (await crooked.sign_in()).user_id == first.user_id
    looked = len([each for each in shop.asked if each.endswith("/jwks")])
    for number in range(20):
        shop.header = {"kid": f"made-up-{number}"}
        with pytest.raises(rules.SsoRefused):
            await crooked.sign_in()
    assert len([each for each in shop.asked if each.endswith("/jwks")]) == looked


@pytest.mark.parametrize(
    ("path", "response"),
    [
        ("/token", httpx.Response(500)),
        ("/token", httpx.Response(302, headers={"location": "http://169.254.169.254/"})),
        ("/token", httpx.Response(200, content=b"no json")),
        ("/token", httpx.Response(200, content=b"[" * 100_000)),
        ("/token", httpx.Response(200, json=[])),
        ("/token", httpx.Response(200, content=b"x" * (LARGEST_ANSWER + 1))),
        ("/jwks", httpx.Response(404)),
        ("/jwks", httpx.Response(200, json={"keys": "none"})),
    ],
)
async def test_a_shop_that_answers_nonsense_is_away(
    crooked: Crooked, path: str, response: httpx.Response
) -> None:
    crooked.shop.answers[path] = response
    with pytest.raises(rules.SsoUnavailable):
        await crooked.sign_in()
    assert not any("169.254" in each for each in crooked.shop.asked)


async def test_a_shop_that_is_slow_or_never_ends_is_away_in_bounded_time(
    crooked: Crooked,
) -> None:
    _, told = await crooked.begin()
    crooked.shop.answers["/token"] = httpx.Response(200, content=shops.endless())
    with pytest.raises(rules.SsoUnavailable, match="too much"):
        await crooked.flow.finish(told)
    _, told = await crooked.begin()
    stuck = asyncio.Event()

    async def nothing() -> AsyncIterator[bytes]:
        await stuck.wait()
        yield b""

    crooked.shop.answers["/token"] = httpx.Response(200, content=nothing())
    begun_s = time.monotonic()
    with pytest.raises(rules.SsoUnavailable, match="TimeoutError"):
        await crooked.flow.finish(told)
    assert time.monotonic() - begun_s < 5


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"token_endpoint": "http://shop.example/token"},
        {"token_endpoint": "http://127.0.0.1:5432/"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
)
async def test_a_discovery_document_sends_us_nowhere_else(
    crooked: Crooked, changed: dict[str, Any]
) -> None:
    crooked.shop.metadata = changed
    with pytest.raises(rules.SsoUnavailable):
        await crooked.sign_in()
    asked = {each.split()[1].rpartition("/")[0] for each in crooked.shop.asked}
    assert asked <= {"https://shop.example", "https://shop.example/.well-known"}


async def test_a_shop_that_is_away_is_not_asked_by_everybody(crooked: Crooked) -> None:
    crooked.shop.answers["/.well-known/openid-configuration"] = httpx.Response(503)
    for _ in range(20):
        with pytest.raises(rules.SsoUnavailable):
            await crooked.flow.start("")
    assert len(crooked.shop.asked) == 1
    del crooked.shop.answers["/.well-known/openid-configuration"]
    crooked.monotonic.at += 11
    await crooked.flow.start("")
    # What was read serves while the shop is away, an hour later too.
    crooked.shop.answers["/.well-known/openid-configuration"] = httpx.Response(503)
    crooked.monotonic.at += 4000
    await crooked.flow.start("")


async def test_where_no_shop_is_set_up_it_is_said(shared: Bus) -> None:
    off = Party(Partners(shared), None)
    with pytest.raises(rules.SsoOff):
        await off.flow.start("")
    with pytest.raises(rules.SsoOff):
        await off.flow.finish(Answer("c", "s", "", "t"))
    with pytest.raises(rules.SsoOff):
        await off.flow.end_sessions("token")
    with pytest.raises(rules.SsoOff):
        await off.flow.known(uuid.uuid4())


async def test_nobody_is_sent_back_where_the_operator_did_not_say(crooked: Crooked) -> None:
    with pytest.raises(rules.SsoRedirectInvalid):
        await crooked.flow.start("https://evil.example/back")


async def test_an_address_never_links_by_itself(crooked: Crooked) -> None:
    crooked.known.add("vera@example.com")
    crooked.shop.claims = {"email": "vera@example.com", "email_verified": True}
    with pytest.raises(rules.SsoLinkNeeded):
        await crooked.sign_in()
    # What the shop has not seen to be his says nothing, not even that there is an account.
    for unverified in (False, None, "true", 1):
        crooked.shop.subject = f"shopper-{uuid.uuid4()}"
        crooked.shop.claims = {"email": "vera@example.com", "email_verified": unverified}
        assert await crooked.is_live(await crooked.sign_in())


async def test_a_link_is_made_by_who_is_signed_in_and_is_one_to_one(crooked: Crooked) -> None:
    vera, paul = [await crooked.partners.person() for _ in range(2)]
    for _ in range(2):
        await crooked.flow.link(vera, (await crooked.begin())[1])
    assert (await crooked.sign_in()).user_id == vera
    with pytest.raises(rules.SsoLinkTaken):
        await crooked.flow.link(paul, (await crooked.begin())[1])
    crooked.shop.subject = f"other-{uuid.uuid4()}"
    with pytest.raises(rules.SsoLinkTaken):
        await crooked.flow.link(vera, (await crooked.begin())[1])
    await crooked.flow.unlink(vera)
    await crooked.flow.unlink(vera)
    with pytest.raises(rules.SsoNotLinked):
        await crooked.flow.known(vera)


async def test_the_only_way_in_is_not_taken_away(crooked: Crooked) -> None:
    done = await crooked.sign_in()
    with pytest.raises(rules.SsoOnlyWayIn):
        await crooked.flow.unlink(done.user_id)


async def test_a_logout_in_the_shop_ends_what_came_from_it_and_a_replay_nothing_new(
    crooked: Crooked,
) -> None:
    first = await crooked.sign_in()
    crooked.shop.claims = {"sid": "another-session"}
    other = await crooked.sign_in()
    token = crooked.shop.logout_token(sid="shop-session")
    await crooked.flow.end_sessions(token)
    assert [await crooked.is_live(each) for each in (first, other)] == [False, True]
    crooked.partners.clock.go_on(timedelta(seconds=1))
    crooked.shop.claims = {}
    again = await crooked.sign_in()
    await crooked.flow.end_sessions(token)
    assert await crooked.is_live(again)
    await asyncio.gather(*(crooked.flow.end_sessions(crooked.shop.logout_token()) for _ in "12345"))
    assert [await crooked.is_live(each) for each in (other, again)] == [False, False]


async def test_a_session_that_took_a_second_step_ends_with_the_shops(crooked: Crooked) -> None:
    _, secret = await crooked.with_totp()
    ticket = await crooked.asked()
    done = await crooked.second_step.complete(ticket, Proof(totp_code=crooked.code(secret)))
    assert await crooked.is_live(done)
    assert (await crooked.partners.user(done.access_token)).amr == {"fed", "otp", "mfa"}
    await crooked.flow.forget()
    await crooked.flow.end_sessions(crooked.shop.logout_token(sid="shop-session"))
    assert not await crooked.is_live(done)


@pytest.mark.parametrize("names", [("sub", "sid"), ("sid",), ("sub",)])
async def test_a_logout_while_the_second_factor_is_asked_leaves_no_session(
    crooked: Crooked, names: tuple[str, ...]
) -> None:
    sid = f"session-of-{crooked.shop.subject}"
    crooked.shop.claims = {"sid": sid}
    told = {"sub": crooked.shop.subject, "sid": sid}
    about = {name: told[name] if name in names else None for name in told}
    first, secret = await crooked.with_totp()
    ticket = await crooked.asked()
    crooked.partners.clock.go_on(timedelta(seconds=STEP_S))
    await crooked.flow.end_sessions(crooked.shop.logout_token(**about))
    await crooked.flow.forget()
    with pytest.raises(SignInTicketInvalid):
        await crooked.second_step.complete(ticket, Proof(totp_code=crooked.code(secret)))
    assert await crooked.living(first.user_id) == 0


@pytest.mark.parametrize("about", [{"sid": "another-session"}, {"sub": "somebody-else"}])
async def test_a_logout_of_somebody_else_keeps_no_second_step_from_its_end(
    crooked: Crooked, about: dict[str, Any]
) -> None:
    _, secret = await crooked.with_totp()
    ticket = await crooked.asked()
    await crooked.flow.end_sessions(crooked.shop.logout_token(**about))
    done = await crooked.second_step.complete(ticket, Proof(totp_code=crooked.code(secret)))
    assert await crooked.is_live(done)


async def test_no_session_survives_a_logout_at_the_instant_of_its_second_step(
    crooked: Crooked,
) -> None:
    first, secret = await crooked.with_totp()
    ended = Counter[str]()
    for _ in range(25):
        ticket = await crooked.asked()
        proof = Proof(totp_code=crooked.code(secret))
        done = await asyncio.gather(
            crooked.second_step.complete(ticket, proof),
            crooked.flow.end_sessions(crooked.shop.logout_token()),
            return_exceptions=True,
        )
        ended[type(done[0]).__name__] += 1
        assert done[1] is None
        assert await crooked.living(first.user_id) == 0
    assert set(ended) <= {"SignedIn", "SignInTicketInvalid"}


async def test_no_session_survives_a_logout_at_the_instant_it_opens(crooked: Crooked) -> None:
    first = await crooked.sign_in()
    await crooked.partners.sessions.end_all(first.user_id, "begins anew")
    ended = Counter[str]()
    for _ in range(25):
        crooked.partners.clock.go_on(timedelta(seconds=1))
        _, told = await crooked.begin()
        done = await asyncio.gather(
            crooked.flow.finish(told),
            crooked.flow.end_sessions(crooked.shop.logout_token()),
            return_exceptions=True,
        )
        ended[type(done[0]).__name__] += 1
        assert done[1] is None
        assert await crooked.living(first.user_id) == 0
    assert set(ended) <= {"SignedIn", "SsoStateInvalid"}


async def test_fifty_second_steps_of_one_sign_in_open_one_session(crooked: Crooked) -> None:
    first, secret = await crooked.with_totp()
    ticket = await crooked.asked()
    proof = Proof(totp_code=crooked.code(secret))
    done = await asyncio.gather(
        *(crooked.second_step.complete(ticket, proof) for _ in range(50)), return_exceptions=True
    )
    assert len([each for each in done if isinstance(each, SignedIn)]) == 1
    assert await crooked.living(first.user_id) == 1
    await crooked.flow.end_sessions(crooked.shop.logout_token())
    assert await crooked.living(first.user_id) == 0


async def test_a_sign_in_is_as_fresh_as_the_shop_says(crooked: Crooked) -> None:
    now_s = int(crooked.partners.clock().timestamp())
    for told, seen in (
        (now_s - 7200, now_s - 7200),
        # Of the future nobody can have proved anything.
        (now_s + 7200, now_s),
        # It says nothing: then it is as if long ago.
        (None, now_s - int(rules.UNKNOWN_AGE.total_seconds())),
    ):
        crooked.shop.claims = {"auth_time": told}
        user = await crooked.partners.user((await crooked.sign_in()).access_token)
        assert user.auth_time_s == seen, told


async def test_who_is_to_prove_himself_anew_is_asked_by_the_shop_and_it_has_to_say_so(
    crooked: Crooked,
) -> None:
    async def anew(**claims: Any) -> SignedIn:
        crooked.shop.claims = claims
        begun = await crooked.flow.start("", anew=True)
        asked = dict(parse_qsl(urlsplit(begun.authorization_uri).query))
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        return await crooked.flow.finish(
            answer(begun, crooked.shop.come_back(begun.authorization_uri))
        )

    now_s = int(crooked.partners.clock().timestamp())
    user = await crooked.partners.user((await anew(auth_time=now_s)).access_token)
    assert user.auth_time_s == now_s
    for wrong in ({}, {"auth_time": now_s - 3600}, {"auth_time": "today"}, {"auth_time": True}):
        with pytest.raises(rules.SsoRefused):
            await anew(**wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"events": None},
        {"events": {}},
        {"events": ["http://schemas.openid.net/event/backchannel-logout"]},
        {"nonce": "of-an-id-token"},
        {"aud": "another client"},
        {"iss": "https://evil.example"},
        {"jti": None},
        {"sub": None},
        {"iat": None},
        {"iat": 1},
        {"exp": 1},
        {"iat": 32503680000},
    ],
)
async def test_what_is_no_logout_token_ends_nothing(
    crooked: Crooked, changed: dict[str, Any]
) -> None:
    done = await crooked.sign_in()
    with pytest.raises(rules.SsoRefused):
        await crooked.flow.end_sessions(crooked.shop.logout_token(**changed))
    with pytest.raises(rules.SsoRefused):
        await crooked.flow.end_sessions(crooked.shop.id_token("nonce"))
    assert await crooked.is_live(done)


async def test_the_shops_tokens_are_sealed_and_renewed_by_one_of_many(crooked: Crooked) -> None:
    crooked.shop.lives_s = 60
    done = await crooked.sign_in()
    rows = await crooked.partners.bus.publisher.rows(_TOKENS, {})
    assert all(b"[" not in bytes(each)[:1] for (each,) in rows if each)
    crooked.partners.clock.go_on(timedelta(minutes=2))
    crooked.shop.asked.clear()
    known = await asyncio.gather(
        *(crooked.flow.known(done.user_id) for _ in range(20)), return_exceptions=True
    )
    assert any(not isinstance(each, BaseException) for each in known)
    wrong = {type(each) for each in known if isinstance(each, BaseException)}
    assert wrong <= {rules.SsoUnavailable}
    assert len([each for each in crooked.shop.asked if each.startswith("POST")]) == 1
    assert (await crooked.flow.known(done.user_id)).display_name == "Vera Shopper"


async def test_a_logout_here_can_end_at_the_shop_where_it_offers_that(crooked: Crooked) -> None:
    crooked.shop.lives_s = 60
    crooked.shop.metadata = {"end_session_endpoint": f"{crooked.shop.issuer}/end?x=1"}
    done = await crooked.sign_in()
    for _ in range(2):
        uri = await crooked.flow.logout_uri(done.user_id)
        assert uri.startswith(f"{crooked.shop.issuer}/end?x=1&")
        told = dict(parse_qsl(urlsplit(uri).query))
        assert told["client_id"] == CLIENT_ID
        assert crooked.provider is not None
        # It names the sign-in, also after the shop's tokens were renewed.
        assert (await crooked.provider.claims(told["id_token_hint"]))["sub"] == crooked.shop.subject
        crooked.partners.clock.go_on(timedelta(minutes=2))
        await crooked.flow.known(done.user_id)
    with pytest.raises(rules.SsoNotLinked):
        await crooked.flow.logout_uri(await crooked.partners.person())


@pytest.mark.parametrize("endpoint", ["https://evil.example/end", "javascript:alert(1)", 7])
async def test_a_logout_leads_nowhere_but_to_the_shop(crooked: Crooked, endpoint: Any) -> None:
    done = await crooked.sign_in()
    # It offers none.
    assert await crooked.flow.logout_uri(done.user_id) == ""
    crooked.shop.metadata = {"end_session_endpoint": endpoint}
    crooked.monotonic.at += 4000
    with pytest.raises(rules.SsoUnavailable):
        await crooked.flow.logout_uri(done.user_id)


async def test_what_the_shop_tells_of_somebody_else_is_not_shown(crooked: Crooked) -> None:
    done = await crooked.sign_in()
    crooked.shop.answers["/userinfo"] = httpx.Response(200, json={"sub": "x", "name": "Paul"})
    with pytest.raises(rules.SsoUnavailable, match="somebody else"):
        await crooked.flow.known(done.user_id)
    crooked.shop.answers["/userinfo"] = httpx.Response(401)
    with pytest.raises(rules.SsoNotLinked):
        await crooked.flow.known(done.user_id)


@pytest.mark.parametrize(
    "issuer",
    ["http://shop.example", "https://u@shop.example", "https://shop.example?x", "ftp://x", ""],
)
async def test_an_issuer_is_https_or_on_this_machine(issuer: str) -> None:
    with pytest.raises(ValueError, match="https address"):
        Provider(issuer, CLIENT_ID, SECRET)
