"""Consents on the real database, through the gate: given, taken back, told of, proved."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psycopg
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey
from sqlalchemy import func, select

from mesh.runtime import Servicer
from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Statement
from mesh.runtime.tables import OUTBOX
from palestra.identity.v1 import auth_service_pb2, consent_pb2, events_pb2
from palestra.identity.v1 import consent_service_pb2 as pb
from palestra.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from palestra.identity.v1.consent_service_pb2_grpc import ConsentServiceStub
from services.identity.auth.rpc import AuthRpc
from services.identity.consents import documents, rules
from services.identity.consents.flow import ConsentFlow
from services.identity.consents.rpc import ConsentRpc
from services.identity.consents.rules import Catalogue, Purpose
from services.identity.tables.consents import CONSENT_RECORDS, CONSENTS
from tests.support import mesh_calls
from tests.support.grpc_errors import reason_of
from tests.support.identity_people import PASSWORD, People, Worker
from tests.support.made_tokens import Signer
from tests.support.served import SECRET, as_edge, served, verifier_of
from tests.support.told_counters import Bus

if TYPE_CHECKING:
    # Of the stubs alone: there is no such class when the test runs.
    from palestra.identity.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from palestra.identity.v1.consent_service_pb2_grpc import ConsentServiceAsyncStub

GIVEN: int = consent_pb2.CONSENT_STATE_GIVEN
WITHDRAWN: int = consent_pb2.CONSENT_STATE_WITHDRAWN
OUTDATED: int = consent_pb2.CONSENT_STATE_OUTDATED
HEALTH, PLACES = Purpose.HEALTH_DATA, Purpose.LOCATION
SCOPES = ("privacy.read", "privacy.write")
_TOLD = Statement(
    select(OUTBOX.c.key, OUTBOX.c.key_version, OUTBOX.c.payload)
    .where(OUTBOX.c.type == events_pb2.ConsentChanged.DESCRIPTOR.full_name)
    .order_by(OUTBOX.c.position)
)
_RECORDS = Statement(select(func.count()).select_from(CONSENT_RECORDS))
_NOW = Statement(select(CONSENTS.c.purpose, CONSENTS.c.given, CONSENTS.c.revision))


@dataclass
class Person:
    """Somebody with an account, and what he asks of one process of identity."""

    id: uuid.UUID
    people: People
    flow: ConsentFlow
    stub: ConsentServiceAsyncStub
    auth: AuthServiceAsyncStub
    metadata: tuple[tuple[str, str], ...]
    session: str
    known: Catalogue = field(default_factory=documents.read)

    @property
    def name(self) -> str:
        return f"users/{self.id}"

    def text(self, purpose: Purpose, language: str = "en") -> consent_pb2.AgreedText:
        asked = self.known.asked[purpose]
        found = asked.documents[-1]
        number: Any = int(purpose)
        return consent_pb2.AgreedText(
            purpose=number,
            version=found.version,
            language_code=language,
            sha256=found.texts[language].sha256.hex(),
        )

    async def give(self, *purposes: Purpose, request_id: str = "") -> Sequence[consent_pb2.Consent]:
        request = pb.GiveConsentRequest(
            parent="users/me",
            texts=[self.text(each) for each in purposes],
            request_id=request_id or str(uuid7()),
        )
        return (await self.stub.GiveConsent(request, metadata=self.metadata)).consents

    async def withdraw(self, purpose: Purpose, request_id: str = "") -> consent_pb2.Consent:
        request = pb.WithdrawConsentRequest(
            name=f"users/me/consents/{purpose.slug}", request_id=request_id or str(uuid7())
        )
        return (await self.stub.WithdrawConsent(request, metadata=self.metadata)).consent

    async def said(self) -> dict[int, int]:
        found = await self.listed()
        return {int(each.purpose): int(each.state) for each in found.consents}

    async def listed(self, language: str = "") -> pb.ListConsentsResponse:
        request = pb.ListConsentsRequest(parent="users/me", language_code=language)
        return await self.stub.ListConsents(request, metadata=self.metadata)

    async def records(self, slug: str = "-", size: int = 0) -> list[consent_pb2.ConsentRecord]:
        """All pages."""
        request = pb.ListConsentRecordsRequest(parent=f"users/me/consents/{slug}", page_size=size)
        found: list[consent_pb2.ConsentRecord] = []
        while True:
            page = await self.stub.ListConsentRecords(request, metadata=self.metadata)
            found += page.records
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def told(self) -> list[tuple[str, int, bool]]:
        """The events: of which consent, its version, and whether it is given."""
        rows = await self.people.bus.publisher.rows(_TOLD, {})
        found = [(key, at, events_pb2.ConsentChanged.FromString(told)) for key, at, told in rows]
        for key, _, told in found:
            assert key == f"{told.user}/consents/{Purpose(told.purpose).slug}"
        return [(key.rpartition("/")[2], at, told.given) for key, at, told in found]

    async def checked(self, purpose: Purpose, *users: str) -> Mapping[str, tuple[bool, int]]:
        """What a service is answered."""
        number: Any = int(purpose)
        request = pb.CheckConsentsRequest(users=users or (self.name,), purpose=number)
        metadata = mesh_calls.headers(SECRET, "training")
        found = await self.stub.CheckConsents(request, metadata=metadata)
        assert found.max_age_s == rules.ANSWER_LIVES_S
        return {each.user: (each.given, each.version) for each in found.answers}


@pytest_asyncio.fixture
async def person(bus: Bus, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Person]:
    folder = tmp_path_factory.mktemp("c")
    people = People(bus, folder / "mail")
    worker: Worker = people.worker()
    signed = await worker.auth.register("vera@example.com", PASSWORD, "Vera", country="DE")
    signer, session = Signer("one"), str(uuid7())
    flow = people.consents()
    servicers: list[Servicer] = [
        ConsentRpc(flow),
        AuthRpc(worker.auth, worker.recovery, worker.sessions),
    ]
    async with (
        served(folder, "identity", servicers, verifier_of(signer), asyncio.Event()) as server,
        server.channel() as channel,
    ):
        yield Person(
            signed.user_id,
            people,
            flow,
            ConsentServiceStub(channel),
            AuthServiceStub(channel),
            as_edge(signer.token(signed.user_id, SCOPES, sid=session)),
            session,
        )


async def test_of_fifty_parallel_givings_one_has_an_effect_and_one_is_told(person: Person) -> None:
    same = [person.give(HEALTH, PLACES, request_id="one") for _ in range(25)]
    others = [person.give(HEALTH) for _ in range(25)]
    answers = await asyncio.gather(*same, *others)
    assert {tuple(int(c.state) for c in each) for each in answers} <= {(GIVEN,), (GIVEN, GIVEN)}
    assert await person.people.count(_RECORDS) == 2
    assert sorted(await person.told()) == [("health-data", 1, True), ("location", 1, True)]


async def test_givings_and_withdrawals_at_once_leave_a_history_that_ends_as_it_stands(
    person: Person,
) -> None:
    await person.give(HEALTH)
    asked = [person.give(HEALTH) if n % 2 else person.withdraw(HEALTH) for n in range(40)]
    await asyncio.gather(*asked)
    (state,) = (await person.said()).values()
    history = await person.records("health-data")
    told = await person.told()
    assert len(history) == len(told)
    assert [version for _, version, _ in told] == list(range(1, len(told) + 1)), "dense"
    steps = [given for _, _, given in told]
    assert all(one != other for one, other in pairwise(steps)), "in turn"
    assert steps[-1] == (state == GIVEN)


async def test_a_giving_that_comes_again_after_the_withdrawal_gives_nothing(
    person: Person,
) -> None:
    await person.give(HEALTH, request_id="first")
    await person.withdraw(HEALTH, request_id="back")
    (late,) = await person.give(HEALTH, request_id="first")
    assert late.state == WITHDRAWN
    (given,) = await person.give(HEALTH, request_id="second")
    assert given.state == GIVEN
    assert (await person.withdraw(HEALTH, request_id="back")).state == GIVEN, "it came again"
    assert [each.given for each in await person.records()] == [True, False, True]


async def test_one_id_for_two_contents_is_refused(person: Person) -> None:
    await person.give(HEALTH, request_id="one")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.give(HEALTH, PLACES, request_id="one")
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"
    await person.give(PLACES)
    await person.withdraw(HEALTH, request_id="back")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.withdraw(PLACES, request_id="back")
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"


async def test_all_texts_are_agreed_to_or_none(person: Person) -> None:
    wrong = person.text(PLACES)
    wrong.sha256 = hashlib.sha256(b"another text").hexdigest()
    request = pb.GiveConsentRequest(parent="users/me", texts=[person.text(HEALTH), wrong])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.stub.GiveConsent(request, metadata=person.metadata)
    assert reason_of(refused.value) == "CONSENT_TEXT_UNKNOWN"
    assert await person.said() == {}
    assert await person.told() == []


async def test_what_there_is_no_account_without_stays_and_says_what_to_do_instead(
    person: Person,
) -> None:
    await person.give(Purpose.TERMS)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.withdraw(Purpose.TERMS)
    assert reason_of(refused.value) == "CONSENT_NEEDED"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.withdraw(Purpose.ANALYTICS)
    assert reason_of(refused.value) == "CONSENT_NOT_FOUND", "it was never given"
    assert await person.said() == {int(Purpose.TERMS): GIVEN}


async def test_a_new_version_is_asked_for_and_the_old_agreement_counts_no_more(
    person: Person,
) -> None:
    await person.give(Purpose.TERMS, Purpose.PRIVACY_NOTICE, HEALTH)
    assert list((await person.listed()).needed) == []
    clock = person.people.clock
    for purpose in (Purpose.TERMS, HEALTH):
        asked = person.known.asked[purpose]
        newer = replace(asked.documents[-1], version=2, effective_at=clock() + timedelta(days=1))
        newest = replace(asked, documents=(*asked.documents, newer))
        person.flow.catalogue.asked[purpose] = newest  # type: ignore[index]
    assert set((await person.said()).values()) == {GIVEN}
    clock.go_on(timedelta(days=2))
    found = await person.listed("ru-RU")
    assert [(int(each.purpose), each.version) for each in found.needed] == [(Purpose.TERMS, 2)]
    assert found.needed[0].title == "Условия использования"
    assert [int(each.purpose) for each in found.outdated] == [HEALTH]
    states = {int(each.purpose): int(each.state) for each in found.consents}
    assert states[HEALTH] == OUTDATED
    assert (await person.checked(HEALTH))[person.name] == (False, 1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.give(HEALTH)
    assert reason_of(refused.value) == "CONSENT_OUTDATED"


async def test_services_are_told_who_agrees_and_how_new_that_is(person: Person) -> None:
    stranger = f"users/{uuid7()}"
    assert await person.checked(HEALTH) == {person.name: (False, 0)}
    await person.give(HEALTH)
    both = await person.checked(HEALTH, stranger, person.name)
    assert list(both.items()) == [(stranger, (False, 0)), (person.name, (True, 1))]
    await person.withdraw(HEALTH)
    assert await person.checked(HEALTH) == {person.name: (False, 2)}


async def test_a_receipt_proves_to_anybody_who_agreed_to_which_text(person: Person) -> None:
    await person.give(HEALTH)
    await person.withdraw(HEALTH)
    taken_back, given = await person.records("health-data")
    assert (given.client, given.session) == (
        "palestra-app",
        f"{person.name}/sessions/{person.session}",
    )
    request = pb.GetConsentReceiptRequest(name=given.name)
    answer = await person.stub.GetConsentReceipt(request, metadata=person.metadata)
    again = await person.stub.GetConsentReceipt(request, metadata=person.metadata)
    assert answer == again, "it never changes"
    published = await person.stub.ListReceiptKeys(
        pb.ListReceiptKeysRequest(), metadata=person.metadata
    )
    assert list(published.public_keys_jwk) == [answer.public_key_jwk]
    key = OKPKey.import_key(json.loads(answer.public_key_jwk))
    claims = jwt.decode(answer.receipt, key, algorithms=["EdDSA"]).claims
    text = person.known.asked[HEALTH].documents[-1].texts["en"].text
    assert claims["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (claims["sub"], claims["purpose"], claims["given"]) == (person.name, HEALTH.slug, True)
    head, _, signature = answer.receipt.rpartition(".")
    with pytest.raises(BadSignatureError):
        jwt.decode(f"{head}.{signature[::-1]}", key, algorithms=["EdDSA"])
    request.name = taken_back.name
    other = await person.stub.GetConsentReceipt(request, metadata=person.metadata)
    assert jwt.decode(other.receipt, key, algorithms=["EdDSA"]).claims["given"] is False
    request.name = f"{person.name}/consents/health-data/records/{uuid7()}"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.stub.GetConsentReceipt(request, metadata=person.metadata)
    assert reason_of(refused.value) == "CONSENT_NOT_FOUND"


async def test_eight_processes_at_their_first_receipt_make_one_key(person: Person) -> None:
    signers = [person.people.consents().signer for _ in range(8)]
    keys = await asyncio.gather(*(each.public_key() for each in signers))
    assert len(set(keys)) == 1
    assert len(await signers[0].public_keys()) == 1


async def test_the_history_comes_page_by_page_the_newest_first(person: Person) -> None:
    for _ in range(3):
        await person.give(HEALTH, PLACES)
        person.people.clock.go_on(timedelta(seconds=1))
        await person.withdraw(HEALTH)
        person.people.clock.go_on(timedelta(seconds=1))
    whole = await person.records()
    assert [each.given for each in whole] == [False, True, False, True, False, True, True]
    assert await person.records(size=2) == whole
    of_places = [each for each in whole if int(each.purpose) == PLACES]
    assert await person.records("location") == of_places


async def test_the_database_refuses_to_change_what_was_said(person: Person) -> None:
    await person.give(HEALTH)
    url = person.people.bus.stores.database_url("identity")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("UPDATE consent_records SET given = false")


async def test_a_full_history_gives_no_more_and_still_takes_back(
    person: Person,
) -> None:
    url = person.people.bus.stores.database_url("identity")
    await person.give(HEALTH)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO consent_records SELECT user_id, uuidv7(), purpose, request_hash, revision,"
            " given,"
            " version, language, sha256, at, client_id, session_id, device, network"
            " FROM consent_records, generate_series(2, %s)",
            (rules.MOST_RECORDS,),
        )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await person.give(PLACES)
    assert reason_of(refused.value) == "CONSENT_CHANGED_TOO_OFTEN"
    assert (await person.withdraw(HEALTH)).state == WITHDRAWN


def signing_up(email: str, *texts: consent_pb2.AgreedText) -> auth_service_pb2.RegisterRequest:
    return auth_service_pb2.RegisterRequest(
        email=email, password=PASSWORD, display_name="Paul", country="DE", consents=texts
    )


async def test_who_signs_up_agrees_with_the_account_in_one_step(person: Person) -> None:
    texts = [person.text(each) for each in (Purpose.TERMS, Purpose.PRIVACY_NOTICE)]
    edge = person.metadata
    made = await person.auth.Register(signing_up("paul@example.com", *texts), metadata=edge)
    rows = await person.people.bus.publisher.rows(_NOW, {})
    assert sorted(rows) == [(1, True, 1), (2, True, 1)]
    assert {key for key, _, _ in await person.told()} == {"terms", "privacy-notice"}
    again = await person.auth.Register(signing_up("paul@example.com", *texts), metadata=edge)
    assert again.user == made.user
    assert await person.people.count(_RECORDS) == 2


async def test_an_unknown_text_is_refused_alike_whether_or_not_there_is_an_account(
    person: Person,
) -> None:
    wrong = person.text(Purpose.TERMS)
    wrong.sha256 = "0" * 64
    for email in ("vera@example.com", "nobody@example.com"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await person.auth.Register(signing_up(email, wrong), metadata=person.metadata)
        assert reason_of(refused.value) == "CONSENT_TEXT_UNKNOWN"


async def test_where_it_is_set_nobody_signs_up_without_what_is_needed(
    bus: Bus, tmp_path: Path
) -> None:
    people = People(bus, tmp_path)
    worker = people.worker(whole_consents=True)
    with pytest.raises(rules.ConsentMissing, match="terms, privacy-notice"):
        await worker.auth.register("paul@example.com", PASSWORD, "Paul", country="DE")
    with pytest.raises(rules.ConsentMissing, match="processing-ru"):
        await worker.auth.register("paul@example.com", PASSWORD, "Paul", country="RU")


async def test_documents_are_read_by_anybody_in_his_language_and_for_his_country(
    person: Person,
) -> None:
    nobody = person.metadata[:2]
    request = pb.ListConsentDocumentsRequest(language_code="ru", country="DE")
    listed = (await person.stub.ListConsentDocuments(request, metadata=nobody)).documents
    assert {int(each.purpose) for each in listed} == set(Purpose) - {
        Purpose.PROCESSING_RU,
        Purpose.CROSS_BORDER_RU,
    }
    assert {each.text for each in listed} == {""}
    asked = pb.GetConsentDocumentRequest(name=listed[0].name, language_code="ru")
    told = (await person.stub.GetConsentDocument(asked, metadata=nobody)).document
    assert hashlib.sha256(told.text.encode()).hexdigest() == told.sha256 == listed[0].sha256
    for name, version in (("consentDocuments/nothing", 0), (listed[0].name, 99)):
        asked = pb.GetConsentDocumentRequest(name=name, version=version)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await person.stub.GetConsentDocument(asked, metadata=nobody)
        assert reason_of(refused.value) == "CONSENT_NOT_FOUND"
