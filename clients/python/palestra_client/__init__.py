"""Palestra from Python: sign in, read activities and their streams, watch them live.

What is listed in `__all__` is the public interface; the modules behind it may change.
"""

from palestra_client._account import Recovery, Sessions
from palestra_client._channel import is_this_machine, open_channel
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
    StepUpNeeded,
    Unauthenticated,
    Unavailable,
    Unsupported,
    error_of,
    error_of_status,
)
from palestra_client._files import download, upload
from palestra_client._kept import Kept
from palestra_client._methods import Method, method_of, methods
from palestra_client._proofs import Challenge, Proof, Prove, SecondFactorNeeded
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
    "Challenge",
    "Conflict",
    "DeadlineExceeded",
    "Devices",
    "FieldViolation",
    "FileTokenStore",
    "InvalidArgument",
    "Kept",
    "MemoryTokenStore",
    "Method",
    "NotFound",
    "Palestra",
    "PalestraError",
    "PermissionDenied",
    "Proof",
    "Prove",
    "Recovery",
    "ResourceExhausted",
    "Rule",
    "SecondFactorNeeded",
    "ServerError",
    "Sessions",
    "SignIn",
    "StepUpNeeded",
    "Streams",
    "TokenStore",
    "Tokens",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "claims_of",
    "download",
    "error_of",
    "error_of_status",
    "is_this_machine",
    "method_of",
    "methods",
    "open_channel",
    "rule_of",
    "tokens_of",
    "upload",
]
