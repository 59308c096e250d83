"""Palestra from Python: sign in, read activities and their streams, watch them live.

What is listed in `__all__` is the public interface; the modules behind it may change.
"""

from palestra_client._channel import open_channel
from palestra_client._client import Palestra
from palestra_client._contract import Rule, rule_of
from palestra_client._devices import Devices
from palestra_client._errors import (
    Conflict,
    DeadlineExceeded,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PalestraError,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    Unauthenticated,
    Unavailable,
    Unsupported,
    error_of,
)
from palestra_client._signin import SignIn
from palestra_client._streams import Streams
from palestra_client._tokens import (
    FileTokenStore,
    MemoryTokenStore,
    Tokens,
    TokenStore,
    claims_of,
    tokens_of,
)

__all__ = [
    "Conflict",
    "DeadlineExceeded",
    "Devices",
    "FieldViolation",
    "FileTokenStore",
    "InvalidArgument",
    "MemoryTokenStore",
    "NotFound",
    "Palestra",
    "PalestraError",
    "PermissionDenied",
    "ResourceExhausted",
    "Rule",
    "ServerError",
    "SignIn",
    "Streams",
    "TokenStore",
    "Tokens",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "claims_of",
    "error_of",
    "open_channel",
    "rule_of",
    "tokens_of",
]
