"""`/blobs/v1`: sending and reading files by signed links.

Owns the HTTP of it: whole uploads and resumable ones (tus 1.0), ranges, what the bytes
really are, the scanner's word, and the place where half-done uploads wait. What a link
allows is `mesh.runtime.blobs`'s, who gets one a service's.
"""

from gateway.web.blobs.routes import mount

__all__ = ["mount"]
