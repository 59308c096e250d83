"""Consents as messages, and back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from palestra.identity.v1 import consent_pb2 as pb
from services.identity.consents.rules import (
    Agreed,
    Asked,
    Catalogue,
    ConsentTextUnknown,
    Held,
    Purpose,
    Record,
)


def document(asked: Asked, version: int, language: str, now: datetime) -> pb.ConsentDocument:
    """A version in a language, with its text."""
    found = asked.by_version[version]
    text = found.texts[language]
    return pb.ConsentDocument(
        name=f"consentDocuments/{asked.purpose.slug}",
        purpose=_number(asked.purpose),
        version=version,
        valid_from_version=asked.valid_from(now),
        required=asked.required,
        countries=sorted(asked.countries),
        language_code=language,
        title=text.title,
        text=text.text,
        sha256=text.sha256.hex(),
        effective_time=timestamp(found.effective_at),
        legal_basis=asked.legal_basis,
    )


def documents(several: Iterable[Asked], language: str, now: datetime) -> list[pb.ConsentDocument]:
    """Today's versions, without their texts."""
    told = []
    for asked in several:
        current = asked.current(now)
        if current is not None:
            told.append(document(asked, current.version, language, now))
            told[-1].ClearField("text")
    return told


def consent(held: Held, catalogue: Catalogue, now: datetime) -> pb.Consent:
    """What somebody says."""
    name = f"users/{held.user_id}/consents/{held.purpose.slug}"
    state = pb.CONSENT_STATE_OUTDATED if held.given else pb.CONSENT_STATE_WITHDRAWN
    if catalogue.counts(held, now):
        state = pb.CONSENT_STATE_GIVEN
    return pb.Consent(
        name=name,
        purpose=_number(held.purpose),
        state=state,
        version=held.version,
        update_time=timestamp(held.changed_at),
        record=f"{name}/records/{held.record_id}",
        etag=str(held.revision),
    )


def record(told: Record) -> pb.ConsentRecord:
    """What somebody did."""
    by = told.evidence
    return pb.ConsentRecord(
        name=f"users/{told.user_id}/consents/{told.purpose.slug}/records/{told.record_id}",
        purpose=_number(told.purpose),
        given=told.given,
        version=told.version,
        language_code=told.language,
        sha256=told.sha256.hex(),
        create_time=timestamp(told.at),
        client=by.client,
        session=_session(told.user_id, by.session_id),
        device=by.device,
        network=by.network,
    )


def agreed(texts: Iterable[pb.AgreedText]) -> list[Agreed]:
    """What a request says that somebody agrees to.

    Raises:
        ConsentTextUnknown: a hash is none.
    """
    return [
        Agreed(Purpose(each.purpose), each.version, each.language_code, _digest(each.sha256))
        for each in texts
    ]


def timestamp(at: datetime) -> Timestamp:
    """A time."""
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded


def _session(user_id: uuid.UUID, session_id: uuid.UUID | None) -> str:
    return f"users/{user_id}/sessions/{session_id}" if session_id else ""


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConsentTextUnknown("sha256 is not hexadecimal") from None


def _number(value: int) -> Any:
    """An enum's number, which the stubs take for another type."""
    return int(value)
