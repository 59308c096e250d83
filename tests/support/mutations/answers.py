"""Sending what is damaged, and judging what comes back: refused clearly, or done; never broken."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPException, HTTPResponse

import grpc

from tests.support import mesh_calls
from tests.support.rest_errors import meanings

TIMEOUT_S = 2.0
LONGEST_BODY = 1 << 20
SERVER_ERROR, LEAST_ERROR = 500, 400
INSIDES = (
    *("Traceback", "Exception", "Error(", 'File "', "<class", ".py", "object at 0x"),
    *("psycopg", "sqlalchemy", "asyncio", "services.", "mesh.runtime", "SELECT ", "INSERT "),
)
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
# Ours to answer well, whatever is asked.
BROKEN = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


def over_http(port: int, request: bytes) -> list[str]:
    """What is wrong with the answer to a raw request; nothing where all is well.

    Each request has a connection of its own: what one leaves behind is not the next one's.
    """
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        try:
            connection.sendall(request)
            with HTTPResponse(connection, method=request.split(b" ", 1)[0].decode()) as answer:
                answer.begin()
                body = answer.read(LONGEST_BODY)
        except (ConnectionError, HTTPException):
            # The edge hung up on what is no HTTP; that it lives is seen at the next request.
            return []
        except TimeoutError:
            # It waits for the rest of a body that will never come, as it must.
            return [] if _is_half(request) else ["no answer"]
    found = faults(answer.status, answer.headers["content-type"] or "", body)
    if answer.status >= SERVER_ERROR:
        asked = request.split(b"\r\n", 1)[0].decode(errors="replace")
        found.append(f"so it answered {asked!r} after {time.monotonic() - begun:.2f} s")
    return found


def _is_half(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name == b"transfer-encoding":
            return True
        if name == b"content-length":
            return int(value) > len(body)
    return False


def faults(status: int, kind: str, body: bytes) -> list[str]:
    """What is wrong with an answer over REST."""
    text = body.decode(errors="replace")
    found = [f"{status} says {word!r}" for word in INSIDES if word in text]
    if status >= SERVER_ERROR:
        found.append(f"{status} {text[:300]}")
    elif status >= LEAST_ERROR and kind == "application/json":
        found += _faults_of_error(status, text)
    elif status >= LEAST_ERROR and body and not _is_grpc(kind):
        found.append(f"{status} is no JSON: {kind!r} {text[:100]!r}")
    return found


def _is_grpc(kind: str) -> bool:
    return kind.startswith("application/grpc")


def _faults_of_error(status: int, text: str) -> list[str]:
    try:
        told = json.loads(text)
        infos = [each for each in told["details"] if each["@type"] == _INFO]
        known = [each for each in infos if (each["domain"], each["reason"]) in meanings()]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{status} is no google.rpc.Status: {error!r} {text[:300]}"]
    return [] if len(infos) == len(known) == 1 else [f"{status} without one reason: {text[:300]}"]


def faults_of_grpc(error: grpc.aio.AioRpcError) -> list[str]:
    """What is wrong with a refusal over gRPC."""
    told = f"{error.code().name} {error.details()}"
    found = [f"{told} says {word!r}" for word in INSIDES if word in told]
    if error.code() in BROKEN:
        return [*found, told]
    try:
        mesh_calls.refusal(error)
    except (AssertionError, ValueError) as wrong:
        found.append(f"{told}: {wrong}")
    return found
