"""Pictures, files, whatever is too large for a message: kept apart, reached by signed URLs.

Owns where they lie, what they are called, and what a signed URL lets do. Bytes of people
never pass through a service's own port: they go to and from `gateway.web`, by a link that a
service granted. What a blob means is its service's business.
"""

from mesh.runtime.blobs.links import Download, Grant, Links, Upload
from mesh.runtime.blobs.names import INCOMING, KEPT, PAGE, PUBLIC, BlobName
from mesh.runtime.blobs.secrets import KeyFile
from mesh.runtime.blobs.store import Blob, BlobGone, Blobs, BlobSettings, BlobTooLarge, Objects

__all__ = [
    "INCOMING",
    "KEPT",
    "PAGE",
    "PUBLIC",
    "Blob",
    "BlobGone",
    "BlobName",
    "BlobSettings",
    "BlobTooLarge",
    "Blobs",
    "Download",
    "Grant",
    "KeyFile",
    "Links",
    "Objects",
    "Upload",
]
