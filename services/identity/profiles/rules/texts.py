"""What people write, in one form; what does not show, or turns the text around it, is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from services.identity.profiles.rules.errors import DisplayNameInvalid, FieldInvalid

LONGEST_DISPLAY_NAME = 60
LONGEST_TAG = 40
_HIDDEN = ("Cc", "Cf", "Co", "Cs")
# They join letters and emoji into one; flags of regions are spelled with tags.
_JOINERS = frozenset({"\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))})


def clean_display_name(name: str) -> str:
    """The name in NFC, with single spaces.

    Raises:
        DisplayNameInvalid: it is empty, too long, or has characters that do not show.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned or len(cleaned) > LONGEST_DISPLAY_NAME:
        raise DisplayNameInvalid(f"1 to {LONGEST_DISPLAY_NAME} characters are needed")
    if any(unicodedata.category(character) in _HIDDEN for character in cleaned):
        raise DisplayNameInvalid("it has characters that do not show")
    return cleaned


def clean_line(field: str, text: str, longest: int) -> str:
    """One line in NFC, with single spaces; empty where nothing of it shows.

    Raises:
        FieldInvalid: it is too long, or has characters that do not show.
    """
    return _checked(field, " ".join(unicodedata.normalize("NFC", text).split()), longest)


def clean_text(field: str, text: str, longest: int) -> str:
    """Lines in NFC, without spaces at their ends, and at most one empty line between two.

    Raises:
        FieldInvalid: it is too long, or has characters that do not show.
    """
    lines: list[str] = []
    for line in unicodedata.normalize("NFC", text).splitlines():
        stripped = line.replace("\t", " ").rstrip()
        if stripped or (lines and lines[-1]):
            lines.append(stripped)
    return _checked(field, "\n".join(lines).strip(), longest)


def clean_tags(field: str, tags: Iterable[str], most: int) -> tuple[str, ...]:
    """Tags as they are compared: NFKC, lower case, without `#`; each once, in their order.

    Raises:
        FieldInvalid: there are too many, or one is too long, empty or does not show.
    """
    found: dict[str, None] = {}
    for index, tag in enumerate(tags):
        folded = unicodedata.normalize("NFKC", tag).casefold().replace("#", " ")
        cleaned = clean_line(f"{field}[{index}]", folded, LONGEST_TAG)
        if not cleaned:
            raise FieldInvalid(f"{field}[{index}]", "is empty")
        found[cleaned] = None
    if len(found) > most:
        raise FieldInvalid(field, f"more than {most}")
    return tuple(found)


def _checked(field: str, text: str, longest: int) -> str:
    if len(text) > longest:
        raise FieldInvalid(field, f"is longer than {longest} characters")
    for character in text:
        if character in _JOINERS or character == "\n":
            continue
        if unicodedata.category(character) in _HIDDEN:
            raise FieldInvalid(field, f"has a character that does not show, U+{ord(character):04X}")
    shows = any(unicodedata.category(each)[0] not in "CZM" for each in text)
    return text if shows else ""
