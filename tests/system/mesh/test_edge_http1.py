"""What the edge makes of HTTP/1.1 that is ambiguous, too much, or too slow."""

from __future__ import annotations

import socket
import time

import pytest

from mesh.control.resources.listeners import MAX_HEADERS, MAX_HEADERS_KIB
from mesh.control.resources.routes import BODY_S
from tests.support.mesh_stack import MeshStack

POST = b"POST /v1/auth:register HTTP/1.1\r\nhost: edge\r\n"
GET = b"GET /healthz HTTP/1.1\r\nhost: edge\r\n"


def said(mesh: MeshStack, request: bytes, timeout_s: float = 10) -> bytes:
    """All that the edge says until it closes the connection, which it has to."""
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=timeout_s) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
        POST + b"content-length: 2\r\ncontent-length: 9\r\n\r\n{}" + GET + b"\r\n",
        POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
        POST + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
        POST + b"content-length: +2\r\n\r\n{}" + GET + b"\r\n",
        POST + b"content_length: 2\r\ncontent-length: 2\r\n\r\n{}",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: edge\r\nx: a\x00b\r\n\r\n",
        b"GET http:// HTTP/9.9\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    mesh: MeshStack, request_: bytes
) -> None:
    answer = said(mesh, request_)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 505")), answer
    assert b"SERVING" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "headers",
    [
        b"x-large: " + b"x" * (MAX_HEADERS_KIB << 10) + b"\r\n",
        b"".join(b"x-%d: 1\r\n" % at for at in range(MAX_HEADERS + 1)),
    ],
    ids=["large", "many"],
)
def test_more_headers_than_are_any_use_are_refused(mesh: MeshStack, headers: bytes) -> None:
    assert said(mesh, GET + headers + b"\r\n").startswith(b"HTTP/1.1 431")


def test_what_is_plain_is_answered(mesh: MeshStack) -> None:
    assert b"SERVING" in said(mesh, GET + b"connection: close\r\n\r\n")


@pytest.mark.slow
def test_headers_and_bodies_that_do_not_end_are_given_up(mesh: MeshStack) -> None:
    headers = socket.create_connection(("127.0.0.1", mesh.port), timeout=60)
    body = socket.create_connection(("127.0.0.1", mesh.port), timeout=60)
    begun = time.monotonic()
    with headers, body:
        headers.sendall(GET)
        body.sendall(POST + b"content-length: 1000\r\n\r\n{")
        assert headers.recv(64).startswith(b"HTTP/1.1 408")
        assert 9 < time.monotonic() - begun < 15
        assert body.recv(64).startswith(b"HTTP/1.1 408")
        assert BODY_S - 1 < time.monotonic() - begun < BODY_S + 15
