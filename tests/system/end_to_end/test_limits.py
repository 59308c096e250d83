"""The limiter of a whole stack: it counts, and nothing stands still without it."""

from __future__ import annotations

import uuid

import httpx

from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack

WRONG = (401, "UNAUTHENTICATED", "CREDENTIALS_WRONG")


def login(stack: WholeStack) -> httpx.Response:
    # Somebody else each time: who guesses at one account is slowed down by identity.
    somebody = {"email": f"{uuid.uuid4()}@example.com", "password": "correct horse battery"}
    return httpx.post(f"{stack.rest_url}/v1/auth:login", json=somebody, timeout=10)


def counted(answer: httpx.Response) -> bool:
    """Whether the edge was told of the common count."""
    assert refusal(answer) == WRONG
    assert answer.headers["ratelimit-policy"].startswith('"address";q=')
    return "ratelimit" in answer.headers


def test_logins_are_counted_and_what_is_stored_of_it_names_nobody(stack: WholeStack) -> None:
    assert counted(login(stack))
    with stack.redis() as store:
        names = list(store.scan_iter("limiter:*"))
    assert names
    assert not [name for name in names if "127.0.0.1" in str(name) or "Login" in str(name)]


def test_logins_go_on_while_the_limiter_is_killed_and_are_counted_when_it_is_back(
    stack: WholeStack,
) -> None:
    restarts = stack.kill("limiter-0")
    for _ in range(5):
        counted(login(stack))
    stack.recovered("limiter-0", restarts, within_s=20)
    until(lambda: counted(login(stack)), 10, "logins are counted again")
    assert not stack.status()["rejected"]
