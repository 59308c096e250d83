"""The texts that people agree to, as files: `catalogue.toml` says which are which.

Owns reading them, and that none was changed: a text whose SHA-256 is not the reviewed one is
refused, for people have agreed to another. A new text is a new version, never a new content.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from services.identity.consents.rules import (
    LANGUAGES,
    Asked,
    Catalogue,
    Document,
    Purpose,
    Text,
)

FOLDER = Path(__file__).parent


class DocumentsInvalid(ValueError):
    """The catalogue is not whole, or a text is not the one that was reviewed."""


def read(folder: Path = FOLDER) -> Catalogue:
    """All purposes with all versions of their texts.

    Raises:
        DocumentsInvalid
    """
    import tomllib

    told = tomllib.loads((folder / "catalogue.toml").read_text(encoding="utf-8"))
    found = {purpose: _asked(folder, purpose, told.pop(purpose.slug, None)) for purpose in Purpose}
    if told:
        raise DocumentsInvalid(f"no purpose is called {', '.join(sorted(told))}")
    return Catalogue(found)


def _asked(folder: Path, purpose: Purpose, told: dict[str, Any] | None) -> Asked:
    if told is None or not told.get("versions"):
        raise DocumentsInvalid(f"{purpose.slug} is not in the catalogue")
    documents = [
        _document(folder, purpose.slug, number, each)
        for number, each in enumerate(told["versions"], 1)
    ]
    times = [each.effective_at for each in documents]
    if times != sorted(times) or not documents[0].asks_anew:
        raise DocumentsInvalid(f"{purpose.slug}: versions follow each other, and the first asks")
    return Asked(
        purpose,
        bool(told["required"]),
        frozenset(told.get("countries", ())),
        str(told["legal_basis"]),
        tuple(documents),
    )


def _document(folder: Path, slug: str, version: int, told: dict[str, Any]) -> Document:
    return Document(
        version,
        datetime.combine(told["effective"], time(), UTC),
        bool(told["asks_anew"]),
        {
            language: _text(folder / slug / f"{version}.{language}.md", language, told[language])
            for language in LANGUAGES
        },
    )


def _text(path: Path, language: str, reviewed: str) -> Text:
    content = path.read_bytes()
    digest = hashlib.sha256(content)
    if digest.hexdigest() != reviewed:
        raise DocumentsInvalid(f"{path.name} of {path.parent.name} is {digest.hexdigest()}")
    text = content.decode()
    return Text(language, text.partition("\n")[0].removeprefix("# "), text, digest.digest())
