"""The contract as others get it: what people may call, with nothing of the mesh's own.

Owns which files, messages and options are public, their text, and how they are packed.
Never shows a policy, a class of personal data, or a method that only services may call.
"""

from gateway.published.archive import beside, sources
from gateway.published.packing import tarball, zipped
from gateway.published.public import Published, published

__all__ = ["Published", "beside", "published", "sources", "tarball", "zipped"]
