"""How easily a password is guessed: by zxcvbn, by what is common, by what was breached.

Owns the estimate and its lists. Runs in the passwords' pool: it takes milliseconds. Nothing
is asked of anybody outside, so that nobody outside learns of a password.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from services.identity.auth.rules import PasswordWeak, normalized

LEAST_SCORE = 3
"""Of 0 to 4: more than 10^8 guesses."""
LONGEST_JUDGED = 72
"""Characters; zxcvbn takes longer than a call may for more. What follows can only help."""
_EASY = "it is easy to guess"
_COMMON = "many people have it, or it was found by thieves"
_LEET = str.maketrans("013457@$!|", "oleastasil")
# Words typed on a Russian keyboard are those of the lists, typed on a Latin one, and back.
_RUSSIAN = str.maketrans("йцукенгшщзхъфывапролджэячсмитьбюё", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`")
_DECORATION = "0123456789!?.,-_*+#@$%&()[]{}'\"~^ "
_LINE_BYTES = 40


class Strength:
    """Judges passwords; `breached` is a file of SHA-1 hashes, sorted, as haveibeenpwned gives."""

    def __init__(self, breached: Path | None = None) -> None:
        self._breached = breached

    def check(self, password: str, known: Iterable[str]) -> None:
        """Refuses what is easy to guess; `known` are words of the person's own.

        Raises:
            PasswordWeak
        """
        plain = normalized(password)
        if self._is_common(plain) or self._is_breached(password, plain):
            raise PasswordWeak(_COMMON)
        from zxcvbn import zxcvbn

        words = [each[:LONGEST_JUDGED] for each in known if each]
        shown = plain[:LONGEST_JUDGED]
        typed = shown.casefold().translate(_RUSSIAN)
        for form in {shown} if typed == shown.casefold() else {shown, typed}:
            if zxcvbn(form, user_inputs=words)["score"] < LEAST_SCORE:
                raise PasswordWeak(_EASY)

    def _is_common(self, plain: str) -> bool:
        """One of the lists, whatever digits and signs are put around it, or letters' look-alikes,
        or how often it is said.
        """
        lower = plain.casefold()
        forms = {lower, lower.translate(_RUSSIAN)}
        forms |= {each.strip(_DECORATION) for each in forms}
        forms |= {each.translate(_LEET) for each in forms}
        return any(_unrepeated(each) in _common() for each in forms)

    def _is_breached(self, *forms: str) -> bool:
        if self._breached is None:
            return False
        hashes = {hashlib.sha1(each.encode(), usedforsecurity=False) for each in forms}
        with (
            self._breached.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines,
        ):
            return any(_holds(lines, each.hexdigest().upper().encode()) for each in hashes)


@cache
def _common() -> frozenset[str]:
    """Some thirty thousand passwords of breaches, the most frequent; zxcvbn carries them."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def _unrepeated(text: str) -> str:
    """`abcabc` is `abc`."""
    if not text:
        return text
    period = (text + text).find(text, 1)
    return text[:period]


def _holds(lines: mmap.mmap, wanted: bytes) -> bool:
    """Whether one of the sorted lines begins with a hash."""
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        begin = lines.rfind(b"\n", low, middle) + 1 or low
        found = lines[begin : begin + _LINE_BYTES].upper()
        if found == wanted:
            return True
        end = lines.find(b"\n", begin, high)
        if found < wanted:
            low = high if end < 0 else end + 1
        else:
            high = begin
    return False
