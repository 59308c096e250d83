"""What people agree to, for tests: today's texts, and a person's day with them over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from palestra.identity.v1 import consent_pb2
from services.identity.consents import documents
from services.identity.consents.rules import Purpose
from tests.support.rest_errors import refusal

HEALTH, PLACES, TERMS = Purpose.HEALTH_DATA, Purpose.LOCATION, Purpose.TERMS


def text(purpose: Purpose, language: str = "en") -> consent_pb2.AgreedText:
    """The newest text of a purpose, as somebody agrees to it."""
    found = documents.read().asked[purpose].documents[-1]
    number: Any = int(purpose)
    return consent_pb2.AgreedText(
        purpose=number,
        version=found.version,
        language_code=language,
        sha256=found.texts[language].sha256.hex(),
    )


def spend(ask: Callable[..., httpx.Response]) -> None:
    """What is asked is read, agreed to, taken back and proved."""
    listed = ask("GET", "consentDocuments", params={"languageCode": "ru"}).json()["documents"]
    needed = ask("GET", "users/me/consents").json()["needed"]
    assert {each["name"] for each in needed} <= {each["name"] for each in listed}
    texts = [_agreed(ask, each["name"]) for each in needed]
    texts.append(_agreed(ask, f"consentDocuments/{HEALTH.slug}"))
    ask("POST", "users/me/consents:give", json={"texts": texts})
    found = ask("GET", "users/me/consents").json()
    assert found["needed"] == []
    mine = f"users/me/consents/{HEALTH.slug}"
    ask("POST", f"{mine}:withdraw", json={})
    kept = ask("POST", f"users/me/consents/{TERMS.slug}:withdraw", json={})
    assert refusal(kept)[2] == "CONSENT_NEEDED"
    records = ask("GET", f"{mine}/records", params={"pageSize": 1}).json()
    assert records["nextPageToken"]
    receipt = ask("GET", f"{records['records'][0]['name']}/receipt").json()
    assert ask("GET", "receiptKeys").json()["publicKeysJwk"] == [receipt["publicKeyJwk"]]
    wrong = [{**texts[0], "sha256": "0" * 64}]
    ask("POST", "users/me/consents:give", json={"texts": wrong})


def _agreed(ask: Callable[..., httpx.Response], name: str) -> dict[str, Any]:
    told = ask("GET", name, params={"languageCode": "en"}).json()["document"]
    return {each: told[each] for each in ("purpose", "version", "languageCode", "sha256")}
