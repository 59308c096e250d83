"""Resource names (AIP-122): `users/{user}/activities/{activity}`."""

from __future__ import annotations

import uuid

from mesh.runtime.errors import invalid_field


def parse(name: str, *collections: str, field: str = "name") -> tuple[uuid.UUID, ...]:
    """The ids of a name, one for each collection.

    Raises:
        MeshError: INVALID_FIELD where the name is of another shape or an id is no UUID.
    """
    parts = name.split("/")
    if tuple(parts[::2]) != collections or len(parts) != 2 * len(collections):
        shape = "/".join(f"{each}/*" for each in collections)
        raise invalid_field(field, f"must be of the form {shape}")
    try:
        return tuple(uuid.UUID(part) for part in parts[1::2])
    except ValueError:
        raise invalid_field(field, "holds an id that is none of ours") from None
