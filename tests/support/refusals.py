"""Why a call was refused, by the one ErrorInfo that every error carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from mesh.runtime.errors import DETAILS_KEY


def reason_of(error: BaseException) -> str:
    """The contract's reason of a refused call."""
    assert isinstance(error, grpc.aio.AioRpcError), error
    sent = dict(cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ()))
    assert DETAILS_KEY in sent, error
    details = status_pb2.Status.FromString(sent[DETAILS_KEY]).details
    infos = [each for each in details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1, error
    info = error_details_pb2.ErrorInfo()
    infos[0].Unpack(info)
    return str(info.reason)
