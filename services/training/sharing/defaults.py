"""For whom a person's activities are that do not say it: asked of identity as they end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import grpc

from mesh.runtime.channel import MeshChannel
from mesh.runtime.errors import MeshError
from palestra.identity.v1.settings_service_pb2 import GetActivityDefaultsRequest
from palestra.identity.v1.settings_service_pb2_grpc import SettingsServiceStub
from services.training.activities.rules.audiences import Audience


@dataclass(frozen=True, slots=True)
class Defaults:
    """Identity's answer; nothing is kept of it."""

    mesh: MeshChannel

    async def audience(self, user_id: uuid.UUID) -> Audience:
        """The person's default; UNSPECIFIED where identity does not tell it now."""
        stub = SettingsServiceStub(self.mesh.for_stubs())
        try:
            told = await stub.GetActivityDefaults(
                GetActivityDefaultsRequest(name=f"users/{user_id}")
            )
            return Audience(told.audience)
        except grpc.aio.AioRpcError as error:
            # Who is not there shows nothing to anybody; who cannot be asked for is asked for again.
            missing = error.code() is grpc.StatusCode.NOT_FOUND
            return Audience.NOBODY if missing else Audience.UNSPECIFIED
        except ValueError:
            # An audience that this version does not know yet: no wider than it was meant.
            return Audience.NOBODY
        except MeshError:
            return Audience.UNSPECIFIED
