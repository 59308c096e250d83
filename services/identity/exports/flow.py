"""Use cases of exports: asked for, gathered from every service, assembled, read, deleted.

What was done is in rows: whoever is killed leaves a step that is begun again from its last
part. Of two processes on one step the first finds itself fenced.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import structlog

from mesh.runtime.blobs import KEPT, BlobGone, BlobName, Blobs, Grant
from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import keyed_id, region_of, uuid7
from mesh.runtime.personkeys import PersonKeys, SealBroken
from mesh.runtime.subjects.peers import Peers
from services.identity.exports import archive, parts, rules
from services.identity.exports.parts import PartWriter
from services.identity.exports.rules import Export, State, Step
from services.identity.exports.store import ExportStore

KIND = "export"
METHOD = "/palestra.identity.v1.ExportService/RequestExport"
AT_ONCE = 20
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExportFlow:
    """Copies of what is kept of people."""

    store: ExportStore
    peers: Peers
    blobs: Blobs
    keys: PersonKeys
    clock: Clock

    async def request(
        self, user_id: uuid.UUID, request_id: str, language: str
    ) -> tuple[Export, list[Step]]:
        """Asks for an export; the same request again finds it.

        Raises:
            ExportUnderWay, RequestIdReused, UserNotFound
        """
        export_id = keyed_id(user_id, METHOD, request_id)
        wanted = rules.readme_language(language)
        services = self.peers.services
        await self.store.request(user_id, export_id, wanted, services, self.clock())
        export, steps = await self.export(user_id, export_id)
        if export.language != wanted:
            raise rules.RequestIdReused
        return export, steps

    async def export(self, user_id: uuid.UUID, export_id: uuid.UUID) -> tuple[Export, list[Step]]:
        """An export, and how far each service is.

        Raises:
            ExportNotFound
        """
        found = await self.store.export(user_id, export_id)
        if found is None:
            raise rules.ExportNotFound
        return found, await self.store.steps(user_id, export_id)

    async def exports(self, user_id: uuid.UUID) -> list[tuple[Export, list[Step]]]:
        """A person's exports, the newest first."""
        found = await self.store.exports(user_id, rules.MOST_LISTED)
        return [(each, await self.store.steps(user_id, each.export_id)) for each in found]

    async def download(self, user_id: uuid.UUID, export_id: uuid.UUID) -> Grant:
        """A link to the archive.

        Raises:
            ExportNotFound, ExportNotReady
        """
        found, _ = await self.export(user_id, export_id)
        lives = rules.link_lives(found, self.clock())
        name = f"palestra-{found.created_at:%Y-%m-%d}.zip"
        return self.blobs.grant_download(
            self._archive(found.user_id, found.file),
            for_s=max(1, int(lives.total_seconds())),
            file_name=name,
        )

    async def turn(self) -> None:
        """Does what there is to do of all exports, each a step at a time."""
        while True:
            found = await self.store.under_way(AT_ONCE)
            moved = [await self._moved(user_id, export_id) for user_id, export_id in found]
            if not any(moved):
                break
        await self.clean()

    async def step(self, user_id: uuid.UUID, export_id: uuid.UUID) -> bool:
        """Does one service's step, or assembles; false where there is nothing to do now."""
        try:
            export, steps = await self.export(user_id, export_id)
        except rules.ExportNotFound:
            return False  # erased meanwhile
        now = self.clock()
        if export.state not in (State.GATHERING, State.ASSEMBLING):
            return False
        total = sum(each.size_bytes for each in steps)
        if rules.is_given_up(export, now) or total > rules.MOST_BYTES:
            _log.warning("export_failed", size_bytes=total)
            await self._drop_archives(export)
            await self.store.fail(export, now)
            return True
        if export.state is State.ASSEMBLING:
            return await self._assemble(export)
        if rules.is_gathered(steps):
            await self.store.gathered(user_id, export_id)
            return True
        service = rules.next_step(export, steps, now)
        return service is not None and await self._gather(export, service)

    async def _moved(self, user_id: uuid.UUID, export_id: uuid.UUID) -> bool:
        try:
            return await self.step(user_id, export_id)
        except Exception:
            # One that cannot be done must not keep the others waiting.
            _log.exception("export_step_failed")
            return False

    async def clean(self) -> None:
        """Deletes parts of what has ended, archives whose time is over, and old rows."""
        for user_id, export_id in await self.store.with_parts_left(AT_ONCE):
            await self._drop_parts(user_id, export_id)
        for export in await self.store.over(self.clock(), AT_ONCE):
            await self._drop_archives(export)
            await self.store.end(export, State.EXPIRED)
        while await self.store.forget(self.clock() - rules.REMEMBERED, AT_ONCE) == AT_ONCE:
            pass

    async def _gather(self, export: Export, service: str) -> bool:
        begun = await self.store.begin(export.user_id, export.export_id, service)
        if begun is None:
            return True
        await self.blobs.delete(
            *(parts.blob(self.blobs, export.user_id, file) for file in begun.dropped)
        )
        writer = PartWriter(self.store, self.blobs, self.keys, begun)
        try:
            async for piece in self.peers.export(service, export.user_id, begun.cursor):
                await writer.add(piece)
            await writer.finish()
        except parts.Fenced:
            return False
        except MeshError as error:
            _log.warning("export_waits", peer=service, reason=error.reason)
            steps = await self.store.steps(export.user_id, export.export_id)
            attempts = max((step.attempts for step in steps if step.service == service), default=0)
            next_at = self.clock() + rules.delay(attempts)
            await self.store.postpone(export.user_id, export.export_id, service, next_at)
            return False
        return True

    async def _assemble(self, export: Export) -> bool:
        found = await self.store.parts(export.user_id, export.export_id)
        with archive.scratch() as path:
            try:
                with path.open("wb") as target, archive.Archive(target) as made:
                    await self._fill(made, export, found)
            except (BlobGone, SealBroken):
                _log.warning("export_parts_lost")
                await self.store.again(export)
                return True
            blob = self._archive(export.user_id, f"{export.export_id}-{uuid7()}.zip")
            await self.blobs.write_file(blob, path)
            now, size = self.clock(), path.stat().st_size
            if not await self.store.ready(export, blob.name, size, now, now + rules.LIVES):
                await self.blobs.delete(blob)
                return False
        await self._drop_archives(export, but=blob.name)
        await self._drop_parts(export.user_id, export.export_id)
        return True

    async def _fill(
        self, made: archive.Archive, export: Export, found: list[tuple[str, str]]
    ) -> None:
        user_id = export.user_id
        for service, file in found:
            blob = parts.blob(self.blobs, user_id, file)
            sealed = await self.blobs.read(blob, parts.MOST_PART_BYTES)
            part = await self.keys.open(user_id, sealed, file)
            for name, content in parts.unpacked(part):
                await asyncio.to_thread(made.add, f"{service}/{name}", content)
        at = self.clock()
        services = sorted({service for service, _ in found})
        about = archive.about(user_id, region_of(user_id), at, services)
        readme = archive.README[export.language].format(at=f"{at:%Y-%m-%d %H:%M} UTC")
        await asyncio.to_thread(made.close, about, readme)

    async def _drop_parts(self, user_id: uuid.UUID, export_id: uuid.UUID) -> None:
        """Also those that no row knows, written by whoever was killed before he told."""
        for name in await self.blobs.of_kind(user_id, parts.KIND, KEPT, most=10_000):
            if name.startswith(str(export_id)):
                await self.blobs.delete(parts.blob(self.blobs, user_id, name))
        await self.store.drop_parts(user_id, export_id)

    async def _drop_archives(self, export: Export, but: str = "") -> None:
        """Also those that no row knows, written by whoever was killed before he told."""
        for name in await self.blobs.of_kind(export.user_id, KIND, KEPT, most=1_000):
            if name.startswith(str(export.export_id)) and name != but:
                await self.blobs.delete(self._archive(export.user_id, name))

    def _archive(self, user_id: uuid.UUID, file: str) -> BlobName:
        return self.blobs.name(user_id, KIND, KEPT, file)
