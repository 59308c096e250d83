"""The secret by which a worker knows that a call came through its node proxy.

Owns the file's making where nobody made it yet. Never logs it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BYTES = 32


def open_proof(folder: Path) -> str:
    """The content of `proof`, made now where there is none; of two makers the first counts.

    Raises:
        ValueError: the file is there and holds nothing that a header can carry.
    """
    path = folder / "proof"
    if not path.exists():
        fresh = folder / f"proof.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_BYTES))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    proof = path.read_text().strip()
    if len(proof) < 16 or not proof.isascii() or not proof.isprintable():
        raise ValueError(f"{path} does not hold a secret of at least 16 printable characters")
    return proof
