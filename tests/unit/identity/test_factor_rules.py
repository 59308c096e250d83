"""Codes by counter and clock, held to the RFCs' own vectors; what is shown of secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from services.identity.factors import qr, rules

SECRET = b"12345678901234567890"
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

# RFC 4226, appendix D.
_CODES = (
    "755224", "287082", "359152", "969429", "338314",
    "254676", "287922", "162583", "399871", "520489",
)  # fmt: skip


@pytest.mark.parametrize(("counter", "code"), list(enumerate(_CODES)))
def test_hotp_gives_the_codes_of_rfc_4226(counter: int, code: str) -> None:
    assert rules.hotp(SECRET, counter) == code


_SEEDS = {
    "sha1": SECRET,
    "sha256": (SECRET * 2)[:32],
    "sha512": (SECRET * 4)[:64],
}
# RFC 6238, appendix B (with its erratum: seeds as long as the hash).
_VECTORS = """
59 94287082 46119246 90693936
1111111109 07081804 68084774 25091201
1111111111 14050471 67062674 99943326
1234567890 89005924 91819424 93441116
2000000000 69279037 90698825 38618901
20000000000 65353130 77737706 47863826
"""


@pytest.mark.parametrize("line", _VECTORS.split("\n")[1:-1])
def test_totp_gives_the_codes_of_rfc_6238(line: str) -> None:
    seconds, *codes = line.split()
    step = rules.step_at(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds)))
    for digest, code in zip(_SEEDS, codes, strict=True):
        assert rules.hotp(_SEEDS[digest], step, 8, digest) == code


@pytest.mark.parametrize(
    ("late_s", "is_taken"), [(0, True), (30, True), (60, False), (-30, True), (-60, False)]
)
def test_a_code_is_taken_one_step_early_or_late(late_s: int, is_taken: bool) -> None:
    code = rules.hotp(SECRET, rules.step_at(NOON))
    found = rules.step_of(SECRET, code, NOON + timedelta(seconds=late_s))
    assert found == (rules.step_at(NOON) if is_taken else None)


def test_a_code_is_taken_as_apps_show_it() -> None:
    code = rules.hotp(SECRET, rules.step_at(NOON))
    assert rules.step_of(SECRET, f"{code[:3]} {code[3:]}", NOON) == rules.step_at(NOON)
    for wrong in ("", code[:5], f"{code}0", "é" * 6):
        assert rules.step_of(SECRET, wrong, NOON) is None


def test_an_app_reads_secret_and_issuer_from_the_uri() -> None:
    told = urlsplit(rules.otpauth_uri(SECRET, "Вера, дома"))
    assert (told.scheme, told.netloc) == ("otpauth", "totp")
    assert told.path.startswith("/Palestra:%D0")
    query = {name: values[0] for name, values in parse_qs(told.query).items()}
    assert query == {
        "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "issuer": "Palestra",
        "algorithm": "SHA1",
        "digits": "6",
        "period": "30",
    }


def test_the_qr_code_is_a_whole_svg_document_with_nothing_from_outside() -> None:
    drawn = qr.svg(rules.otpauth_uri(SECRET, "Vera"))
    root = ET.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "viewBox" in root.attrib
    assert "href" not in drawn


def test_a_recovery_code_serves_however_it_is_typed() -> None:
    code = rules.recovery_code(bytes(range(10)))
    assert len(code) == 19
    plain = rules.plain_recovery_code(code)
    assert plain == rules.plain_recovery_code(f" {code.upper().replace('-', ' ')} ")
    assert rules.plain_recovery_code(rules.recovery_code(bytes(10))) != plain


@pytest.mark.parametrize(
    ("is_verified", "is_synced", "amr"),
    [
        (True, True, {"swk", "user", "mfa"}),
        (True, False, {"hwk", "user", "mfa"}),
        (False, False, {"hwk", "mfa"}),
    ],
)
def test_what_a_passkey_proves(is_verified: bool, is_synced: bool, amr: set[str]) -> None:
    assert rules.amr_of_passkey(is_verified=is_verified, is_synced=is_synced) == amr


def test_recovery_codes_alone_are_asked_of_nobody() -> None:
    assert rules.Factors(recovery_codes=3).kinds == ()
    assert rules.Factors(recovery_codes=3, passkeys=1).kinds == ("passkey", "recovery_code")
