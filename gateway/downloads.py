"""What `/docs` gives away, by name: files that the build writes beside the compiled contract."""

from __future__ import annotations

from collections.abc import Mapping

DOCUMENT = "openapi.json"
DESCRIPTORS = "palestra.binpb"
ZIP, TARBALL = "palestra-protos.zip", "palestra-protos.tar.gz"
MEDIA_TYPES: Mapping[str, str] = {
    DOCUMENT: "application/json",
    DESCRIPTORS: "application/x-protobuf",
    ZIP: "application/zip",
    TARBALL: "application/gzip",
}
