"""Files -> archives whose bytes are the same whenever the files are.

Owns the order, the modes and the times, which are not the clock's.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

# The first day that a zip can say.
_TIME = (1980, 1, 1, 0, 0, 0)
_TIME_S = 315_532_800
_MODE = 0o644


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files by their path."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _TIME)
            entry.external_attr = _MODE << 16
            # Said, because it differs between systems.
            entry.create_system = 3
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()


def tarball(files: Mapping[str, bytes]) -> bytes:
    """The same as .tar.gz."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), _MODE, _TIME_S
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(made.getvalue(), 9, mtime=0)
