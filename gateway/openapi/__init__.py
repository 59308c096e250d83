"""The REST API as an OpenAPI 3.1 document, derived from the compiled contract.

Owns what the document says: paths, schemas, errors, security, limits, examples. All of it
is the contract's; JSON is described exactly as the edge's transcoder reads and writes it.
Never says anything of methods that only services may call.
"""

from gateway.openapi.document import document

__all__ = ["document"]
