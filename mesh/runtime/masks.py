"""Field masks (AIP-134, AIP-157): which fields a request is about."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mesh.runtime.errors import invalid_field


def to_change(mask: FieldMask, resource: Message, changeable: Collection[str]) -> set[str]:
    """The top-level fields that an update changes; those that are set where the mask is empty.

    Raises:
        MeshError: INVALID_FIELD where the mask names a field that cannot be changed.
    """
    if not mask.paths:
        return {field.name for field, _ in resource.ListFields()} & set(changeable)
    if list(mask.paths) == ["*"]:
        return set(changeable)
    for path in mask.paths:
        if path not in changeable:
            raise invalid_field(
                "update_mask", f"{path!r} cannot be changed; {', '.join(sorted(changeable))} can"
            )
    return set(mask.paths)


def keep_only(mask: FieldMask, resource: Message) -> None:
    """Clears the top-level fields of `resource` that a read mask does not name.

    Raises:
        MeshError: INVALID_FIELD where the mask names a field that does not exist.
    """
    if not mask.paths or list(mask.paths) == ["*"]:
        return
    known = resource.DESCRIPTOR.fields_by_name
    wanted = {path.split(".", 1)[0] for path in mask.paths}
    for path in wanted:
        if path not in known:
            raise invalid_field("read_mask", f"there is no field {path!r}")
    for name in known:
        if name not in wanted:
            resource.ClearField(name)
