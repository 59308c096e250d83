"""The archive: one zip of all that the services gave out, with an index and a readme.

Written to a file piece by piece, so that memory does not grow with it. Owns the form, which
machines read too (`index.json`); never looks into what services gave out.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

FORMAT = "palestra-export/1"
README = {
    "en": """Palestra: everything that is kept about you
Made: {at}

One folder for each service. Files ending in .jsonl hold one record a line (JSON, UTF-8);
times are ISO 8601 in UTC, and units are in the names: distance_m, duration_s. The folder
samples holds what your devices recorded: timeMs is since the start of the activity. Your
pictures and other files are in the folder files.

index.json lists all files for programs. Left out are secrets that would open your account
(password hashes, tokens), for this archive may come into other hands.
""",
    "ru": """Palestra: всё, что хранится о вас
Составлено: {at}

Для каждого сервиса своя папка. В файлах .jsonl по одной записи в строке (JSON, UTF-8);
время в ISO 8601, UTC, единицы измерения в названиях: distance_m (метры), duration_s
(секунды). В папке samples то, что записали ваши устройства: timeMs считается от начала
тренировки. Ваши изображения и другие файлы лежат в папке files.

index.json перечисляет все файлы для программ. Не вошли секреты, открывающие вашу учётную
запись (хеши паролей, токены): архив может попасть в чужие руки.
""",
}


class Archive:
    """A zip under way; its files come whole, one after the other."""

    def __init__(self, target: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._open: IO[bytes] | None = None
        self._path = ""
        self._sizes: dict[str, int] = {}

    def add(self, path: str, content: bytes) -> None:
        """More of a file; the one before it has ended where it is another."""
        if path != self._path:
            self._end()
            self._open = self._zip.open(path, "w", force_zip64=True)
            self._path = path
        if self._open is not None:
            self._open.write(content)
        self._sizes[path] = self._sizes.get(path, 0) + len(content)

    def close(self, about: dict[str, Any], readme: str) -> None:
        """Adds the index and the readme, and ends the zip."""
        self._end()
        files = [{"path": path, "sizeBytes": size} for path, size in self._sizes.items()]
        index = {"format": FORMAT, **about, "files": files}
        self._zip.writestr("index.json", json.dumps(index, ensure_ascii=False, indent=1))
        self._zip.writestr("README.txt", readme)
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Also where it was not finished: nothing is written behind its file's back."""
        self._end()
        self._zip.close()

    def _end(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def about(user_id: uuid.UUID, region: int, at: datetime, services: list[str]) -> dict[str, Any]:
    """What the index says beside the files."""
    return {
        "person": f"users/{user_id}",
        "region": region,
        "createTime": at.isoformat(),
        "services": services,
    }


@contextmanager
def scratch() -> Iterator[Path]:
    """A file for an archive under way, gone at the end."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="palestra-export-") as folder:
        yield Path(folder) / "archive.zip"
