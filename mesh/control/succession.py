"""One authority follows another, and at no moment is a valid certificate refused.

Owns the three steps, each of which outlives a restart:
  1. a successor is made, and everybody is told to trust it (`next.pem`, `next.key`);
  2. when everybody does, it signs; the former is still trusted (`former.pem`);
  3. when the last certificate of the former is over, so is the trust in it.
Decides when: before the authority ends, or when the file `succeed` is laid down.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from mesh.control.authority import (
    CA_RENEW_BEFORE,
    Authority,
    create_authority,
    open_authority,
    read_authority,
    write_authority,
    write_private,
)

ASKED_FOR = "succeed"
_log = structlog.get_logger("mesh.control")


class Succession:
    """The authorities of a state folder."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        _finish(folder)
        self.signer = open_authority(folder, now)
        self._next = read_authority(folder, "next")
        self._former = _former_of(folder)

    @property
    def trusted_pem(self) -> bytes:
        """Whose certificates count: one authority, or two while one follows the other."""
        pems = [self.signer.ca_pem, *([self._next.ca_pem] if self._next else [])]
        if self._former and self._former not in pems:
            pems.append(self._former)
        return b"".join(pems)

    def step(self, now: datetime, *, everybody_knows: bool, leaf_lifetime: timedelta) -> bool:
        """Takes the next step where it is time; whether anything changed.

        `everybody_knows` says that every proxy took the newest there is, and
        `leaf_lifetime` how long a certificate of the former can still be in use.
        """
        if self._former is not None:
            return self._forget(now, leaf_lifetime)
        if self._next is not None:
            return everybody_knows and self._change_over()
        ends = self.signer.certificate.not_valid_after_utc
        asked = self._folder / ASKED_FOR
        if asked.exists() or now >= ends - CA_RENEW_BEFORE:
            self._next = create_authority(now)
            write_authority(self._folder, "next", self._next)
            asked.unlink(missing_ok=True)
            _log.info("the next authority is trusted from now on")
            return True
        return False

    def _change_over(self) -> bool:
        write_private(self._folder / "former.pem", self.signer.ca_pem)
        self._former = self.signer.ca_pem
        (self._folder / "next.key").replace(self._folder / "ca.key")
        _finish(self._folder)
        self.signer, self._next = open_signer(self._folder), None
        _log.info("the next authority signs from now on")
        return True

    def _forget(self, now: datetime, leaf_lifetime: timedelta) -> bool:
        path = self._folder / "former.pem"
        changed_over = datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
        if now < changed_over + leaf_lifetime:
            return False
        path.unlink()
        self._former = None
        _log.info("the former authority is trusted no more")
        return True


def open_signer(folder: Path) -> Authority:
    """The authority that signs.

    Raises:
        ValueError: it is not whole.
    """
    found = read_authority(folder, "ca")
    if found is None:
        raise ValueError(f"{folder / 'ca.pem'} and its key are not an authority")
    return found


def _finish(folder: Path) -> None:
    """Completes a change-over that was begun: the key has moved, the certificate follows."""
    waiting = folder / "next.pem"
    if waiting.exists() and not (folder / "next.key").exists():
        waiting.replace(folder / "ca.pem")


def _former_of(folder: Path) -> bytes | None:
    """The former authority's certificate; None where there is none, or it is not whole."""
    path = folder / "former.pem"
    try:
        content = path.read_bytes()
        x509.load_pem_x509_certificate(content)
    except (OSError, ValueError):
        path.unlink(missing_ok=True)
        return None
    return content
