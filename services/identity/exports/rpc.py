"""ExportService: decode, call, encode."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime import Call, names
from palestra.identity.v1 import export_service_pb2 as pb
from services.identity.exports.flow import ExportFlow
from services.identity.exports.rules import Export, Step


class ExportRpc:
    """Serves palestra.identity.v1.ExportService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ExportService"]

    def __init__(self, flow: ExportFlow) -> None:
        self._flow = flow

    async def RequestExport(
        self, request: pb.RequestExportRequest, call: Call
    ) -> pb.RequestExportResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        request_id = request.request_id or call.request_id
        found = await self._flow.request(user_id, request_id, request.language_code)
        return pb.RequestExportResponse(export=_export(*found))

    async def GetExport(self, request: pb.GetExportRequest, call: Call) -> pb.GetExportResponse:
        user_id, export_id = names.parse(request.name, "users", "exports")
        return pb.GetExportResponse(export=_export(*await self._flow.export(user_id, export_id)))

    async def ListExports(
        self, request: pb.ListExportsRequest, call: Call
    ) -> pb.ListExportsResponse:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        found = await self._flow.exports(user_id)
        return pb.ListExportsResponse(exports=[_export(*each) for each in found])

    async def CreateExportDownload(
        self, request: pb.CreateExportDownloadRequest, call: Call
    ) -> pb.CreateExportDownloadResponse:
        user_id, export_id = names.parse(request.name, "users", "exports")
        grant = await self._flow.download(user_id, export_id)
        return pb.CreateExportDownloadResponse(
            download_uri=grant.uri, expire_time=Timestamp(seconds=grant.expires_at_s)
        )


def _export(export: Export, steps: Sequence[Step]) -> pb.Export:
    return pb.Export(
        name=f"users/{export.user_id}/exports/{export.export_id}",
        state=export.state.value,  # type: ignore[arg-type]
        create_time=_timestamp(export.created_at),
        finish_time=_timestamp(export.finished_at),
        expire_time=_timestamp(export.expires_at),
        size_bytes=export.size_bytes,
        progress=[_progress(step) for step in steps],
        etag=export.etag,
    )


def _progress(step: Step) -> pb.ExportProgress:
    state = pb.EXPORT_PROGRESS_STATE_GATHERING
    if step.done:
        state = pb.EXPORT_PROGRESS_STATE_DONE
    elif step.attempts:
        state = pb.EXPORT_PROGRESS_STATE_WAITING
    waits = not step.done and step.attempts
    return pb.ExportProgress(
        service=step.service,
        state=state,
        size_bytes=step.size_bytes,
        retry_time=_timestamp(step.next_at) if waits else None,
    )


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded
