"""ConsentService: decode, call, encode."""

from __future__ import annotations

import uuid
from datetime import datetime

from mesh.runtime import Call, names, pages
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import uuid7
from palestra.identity.v1 import consent_service_pb2 as pb
from services.identity.consents import encoding, rules
from services.identity.consents.flow import END, ConsentFlow
from services.identity.consents.rules import (
    ConsentNotFound,
    Evidence,
    Place,
    Purpose,
    purpose_of,
)
from services.identity.sessions.devices import device_of

USUAL_PAGE = 50
ALL = "-"


class ConsentRpc:
    """Serves palestra.identity.v1.ConsentService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ConsentService"]

    def __init__(self, flow: ConsentFlow) -> None:
        self._flow = flow

    async def ListConsentDocuments(
        self, request: pb.ListConsentDocumentsRequest, call: Call
    ) -> pb.ListConsentDocumentsResponse:
        asked = self._flow.asked_in(request.country)
        language = rules.spoken(request.language_code)
        told = encoding.documents(asked, language, self._flow.clock())
        return pb.ListConsentDocumentsResponse(documents=told)

    async def GetConsentDocument(
        self, request: pb.GetConsentDocumentRequest, call: Call
    ) -> pb.GetConsentDocumentResponse:
        asked = self._flow.catalogue.asked[purpose_of(request.name.partition("/")[2])]
        version, now = self._flow.version(asked, request.version), self._flow.clock()
        language = rules.spoken(request.language_code)
        told = encoding.document(asked, version, language, now)
        return pb.GetConsentDocumentResponse(document=told)

    async def ListConsents(
        self, request: pb.ListConsentsRequest, call: Call
    ) -> pb.ListConsentsResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found, now = await self._flow.standing(user_id), self._flow.clock()
        language = rules.spoken(request.language_code)
        return pb.ListConsentsResponse(
            consents=[
                encoding.consent(each, self._flow.catalogue, now)
                for _, each in sorted(found.held.items())
            ],
            needed=encoding.documents(found.needed, language, now),
            outdated=encoding.documents(found.outdated, language, now),
        )

    async def GiveConsent(
        self, request: pb.GiveConsentRequest, call: Call
    ) -> pb.GiveConsentResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        request_id = request.request_id or call.request_id or str(uuid7())
        texts = encoding.agreed(request.texts)
        found = await self._flow.give(user_id, call.method, request_id, texts, _evidence(call))
        now = self._flow.clock()
        told = [encoding.consent(each, self._flow.catalogue, now) for each in found]
        return pb.GiveConsentResponse(consents=told)

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, call: Call
    ) -> pb.WithdrawConsentResponse:
        user_id, slug = _of_person(request.name)
        request_id = request.request_id or call.request_id or str(uuid7())
        found = await self._flow.withdraw(
            user_id, purpose_of(slug), call.method, request_id, _evidence(call)
        )
        now = self._flow.clock()
        return pb.WithdrawConsentResponse(
            consent=encoding.consent(found, self._flow.catalogue, now)
        )

    async def ListConsentRecords(
        self, request: pb.ListConsentRecordsRequest, call: Call
    ) -> pb.ListConsentRecordsResponse:
        user_id, slug = _of_person(request.parent, "parent")
        purposes = list(Purpose) if slug == ALL else [purpose_of(slug)]
        page_key = f"consent records of {user_id} {slug}"
        before = _place(pages.cursor(page_key, request.page_token))
        size = request.page_size or USUAL_PAGE
        found, more = await self._flow.records(user_id, purposes, before, size)
        answer = pb.ListConsentRecordsResponse(records=map(encoding.record, found))
        if more:
            last = found[-1]
            place = [last.at.isoformat(), last.revision, last.purpose.value]
            answer.next_page_token = pages.token(page_key, place)
        return answer

    async def GetConsentReceipt(
        self, request: pb.GetConsentReceiptRequest, call: Call
    ) -> pb.GetConsentReceiptResponse:
        consent, _, record = request.name.partition("/records/")
        user_id, slug = _of_person(consent)
        try:
            record_id = uuid.UUID(record)
        except ValueError:
            raise ConsentNotFound from None
        receipt, key = await self._flow.receipt(user_id, purpose_of(slug), record_id)
        return pb.GetConsentReceiptResponse(receipt=receipt, public_key_jwk=key)

    async def ListReceiptKeys(
        self, request: pb.ListReceiptKeysRequest, call: Call
    ) -> pb.ListReceiptKeysResponse:
        return pb.ListReceiptKeysResponse(public_keys_jwk=await self._flow.signer.public_keys())

    async def CheckConsents(
        self, request: pb.CheckConsentsRequest, call: Call
    ) -> pb.CheckConsentsResponse:
        users = [names.parse(name, "users", field="users")[0] for name in request.users]
        found = await self._flow.check(users, Purpose(request.purpose))
        answer = pb.CheckConsentsResponse(max_age_s=rules.ANSWER_LIVES_S)
        for user in users:
            given, version = found.get(user, (False, 0))
            answer.answers.add(user=f"users/{user}", given=given, version=version)
        return answer


def _evidence(call: Call) -> Evidence:
    by, device = call.signed_in, device_of(call)
    return Evidence(by.client, uuid.UUID(by.session), device.name, device.network)


def _of_person(name: str, field: str = "name") -> tuple[uuid.UUID, str]:
    person, _, slug = name.partition("/consents/")
    (user_id,) = names.parse(person, "users", field=field)
    return user_id, slug


def _place(found: list[object] | None) -> Place:
    if found is None:
        return END
    # Anybody can make a token, so that its content is as little to be trusted as its shape.
    try:
        at, revision, purpose = found
        place = datetime.fromisoformat(str(at)), int(str(revision)), int(str(purpose))
    except ValueError:
        raise MeshError("PAGE_TOKEN_INVALID") from None
    if place[0].tzinfo is None or not 0 <= place[1] < 1 << 63 or not 0 <= place[2] <= max(Purpose):
        raise MeshError("PAGE_TOKEN_INVALID")
    return place
