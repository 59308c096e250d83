"""The OpenAPI document and the real edge agree: on what there is, and on every answer."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from palestra_watch.sources.simulate import simulate
from tests.support import (
    account_day,
    administrators,
    consents,
    factor_day,
    profile_day,
    relations_day,
    roles_day,
    sessions_day,
    sharing_day,
    shops,
)
from tests.support.api_document import Operation, check, operations, told
from tests.support.athletes import Athlete, Club
from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.watches import Watch
from tests.support.whole_stack import WholeStack

EXPORTED_S = 30.0
START_MS = 1_790_000_000_000
NOBODYS = "users/me/activities/0190b6f0-0000-7000-8000-00000000dead"


def names(operation: Operation) -> str:
    return operation.name


@pytest.mark.parametrize("operation", operations(), ids=names)
def test_every_operation_is_reachable_through_the_edge(
    athlete: Athlete, operation: Operation
) -> None:
    body: dict[str, Any] = {}
    if operation.example_body() is not None:
        body = {"json": operation.example_body(), "headers": {"x-palestra-strict": "1"}}
    answer = athlete.rest.request(operation.verb, operation.example_path(), **body)
    assert check(answer) == operation
    if answer.is_error:
        assert refusal(answer)[2] != "METHOD_UNKNOWN"


@pytest.mark.parametrize("operation", operations(), ids=names)
def test_what_asks_for_a_token_refuses_without_as_the_document_says(
    athletes: Club, operation: Operation
) -> None:
    with athletes.anonymous() as rest:
        answer = rest.request(operation.verb, operation.example_path(), json={})
    check(answer)
    missing = answer.status_code == 401 and refusal(answer)[2] == "TOKEN_MISSING"
    assert missing == bool(operation.said["security"])


def test_every_verb_of_every_path_is_documented_and_no_other_answers(athlete: Athlete) -> None:
    for path, item in told()["paths"].items():
        example = next(each for each in operations() if each.path == path).example_path()
        for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if verb.lower() not in item:
                answer = athlete.rest.request(verb, example)
                assert refusal(answer) == (405, "UNIMPLEMENTED", "METHOD_UNKNOWN")
                allowed = {each.strip().lower() for each in answer.headers["allow"].split(",")}
                assert allowed == item.keys()


def _deal_with_the_shop(ask: Callable[..., httpx.Response]) -> None:
    subject = f"shopper-{uuid.uuid4()}"

    def answer() -> dict[str, str]:
        begun = ask("POST", "auth:startSso", json={}).json()
        told = shops.come_back(begun["authorizationUri"], subject)
        return {"code": told["code"], "state": told["state"], "ssoToken": begun["ssoToken"]}

    ask("POST", "auth:startSso", json={"redirectUri": "https://evil.example"})
    ask("POST", "users/me:linkSso", json={"answer": answer()})
    assert ask("GET", "users/me/shopProfile").json()["email"] == subject
    ended = ask("GET", "users/me/shopLogout").json()["logoutUri"]
    assert httpx.get(ended).status_code == httpx.codes.OK
    ask("POST", "users/me:unlinkSso", json={})
    ask("GET", "users/me/shopProfile")
    ask("GET", "users/me/shopLogout")
    done = answer()
    ask("POST", "auth:finishSso", json={"answer": done})
    ask("POST", "auth:finishSso", json={"answer": done})


def _deal_with_partners(ask: Callable[..., httpx.Response], administrator: str) -> None:
    app = {
        "displayName": "Partner",
        "homepageUri": "https://partner.example",
        "redirectUris": ["https://partner.example/back"],
        "scopes": ["activities.read"],
        "authentication": "CLIENT_AUTHENTICATION_SECRET",
    }
    made = ask("POST", "users/me/apps", json=app).json()["app"]
    ask("GET", "users/me/apps")
    ask("PATCH", made["name"], json={**app, "displayName": "Another name"})
    ask("POST", f"{made['name']}:rotateSecret", json={"overlapS": 60})
    ask("POST", "users/me/apps", json={**app, "redirectUris": ["http://partner.example"]})
    ask("GET", "users/me/grants")
    _deal_with_the_shop(ask)
    ask("DELETE", f"users/me/grants/{made['clientId']}")
    ask("DELETE", made["name"])
    account = {
        "displayName": "Reports",
        "purpose": "nightly reports",
        "scopes": ["activities.read"],
        "authentication": "CLIENT_AUTHENTICATION_SECRET",
    }
    headers = {"authorization": f"Bearer {administrator}"}
    refused = ask("POST", "serviceAccounts", json=account)
    assert refused.status_code == 403
    made = ask("POST", "serviceAccounts", json=account, headers=headers).json()["serviceAccount"]
    ask("GET", "serviceAccounts", headers=headers)
    changed = {**account, "purpose": "other reports"}
    ask("PATCH", made["name"], json=changed, headers=headers)
    ask("POST", f"{made['name']}:rotateSecret", json={}, headers=headers)
    ask("DELETE", made["name"], headers=headers)


def test_every_answer_of_a_persons_day_is_by_the_document(
    athlete: Athlete, athletes: Club, stack: WholeStack, tmp_path: Path
) -> None:
    leaving = athletes.register()
    sent = asyncio.run(Watch(athlete, tmp_path).send(simulate("running", 30, 1, START_MS)))
    activity = sent.report.activity
    answered: set[str] = set()

    def ask(rest: httpx.Client, verb: str, path: str, **sent_: Any) -> httpx.Response:
        answer = rest.request(verb, f"/v1/{path}", **sent_)
        operation = check(answer)
        if answer.is_success:
            answered.add(operation.name)
        return answer

    reset = account_day.signing_in(ask, athlete)
    rest = athlete.rest
    account_day.addresses(ask, athlete)
    # Before there is a second factor, so that the password alone signs in.
    sessions_day.sessions(ask, athlete)
    factor_day.spend(ask, athlete)
    etag = ask(rest, "GET", "users/me").headers["etag"]
    assert ask(rest, "GET", "users/me", headers={"if-none-match": etag}).status_code == 304
    ask(rest, "PATCH", "users/me", params={"updateMask": "bio"}, json={"bio": "runs"})
    stale = ask(rest, "PATCH", "users/me", json={"bio": "x"}, headers={"if-match": etag})
    assert stale.status_code == 409
    profile_day.spend(ask, athlete)
    consents.spend(partial(ask, rest))
    device = ask(rest, "POST", "users/me/devices", json={"displayName": "W"}).json()["device"]
    ask(rest, "GET", "users/me/devices")
    ask(rest, "DELETE", device["name"])
    ask(rest, "GET", activity)
    ask(rest, "GET", activity, params={"readMask": "title"})
    ask(rest, "PATCH", activity, json={"title": "Morning run"})
    assert ask(rest, "GET", "users/me/activities", params={"pageSize": 5}).json()["activities"]
    ask(rest, "GET", "users/me/activities", params={"readMask": "name,summary.distanceM"})
    ask(rest, "GET", f"{activity}/streams", params={"channels": ["HEART_RATE", "POWER"]})
    ask(rest, "GET", f"{activity}:watch")
    ask(rest, "GET", f"{activity}:watch", headers={"accept": "text/event-stream"})
    ask(rest, "GET", "users/me/progress", params={"period": "PERIOD_MONTH"})
    sharing_day.spend(ask, athlete, athletes.register("Reader"), activity)
    ask(rest, "DELETE", activity)
    relations_day.spend(ask, athlete, athletes.register("Friend"))
    roles_day.spend(ask, athlete, athletes.register("Colleague"))
    athlete.verify()
    _deal_with_partners(partial(ask, rest), administrators.token(stack))
    left(athletes, leaving, ask)
    # Refusals too: of the service, of its gate, of the transcoder, of the edge.
    ask(rest, "GET", NOBODYS)
    ask(rest, "GET", "users/me/activities", params={"filter": "sport >"})
    ask(rest, "GET", "users/me/activities", params={"pageSize": 900})
    ask(rest, "GET", "users/me/activities", params={"pageSize": "many"})
    ask(rest, "GET", "users/me/activities", params={"shoeSize": 44})
    ask(rest, "POST", "users/me/devices", content=b"{")
    ask(rest, "POST", "users/me/devices", json={"displayName": "x" * (2 << 20)})
    ask(rest, "PATCH", "users/me", json={"shoe": 1}, headers={"x-palestra-strict": "1"})
    # At the end, for it signs out everywhere.
    account_day.other_passwords(ask, athlete, reset)
    assert answered == {operation.name for operation in operations()}


def left(athletes: Club, leaving: Athlete, ask: Callable[..., httpx.Response]) -> None:
    """Somebody takes everything with him, and then stays."""
    exported(partial(ask, leaving.rest))
    with athletes.anonymous() as nobody:
        thought_again(partial(ask, leaving.rest), partial(ask, nobody))


def exported(ask: Callable[..., httpx.Response]) -> None:
    """Everything that is kept, as one archive."""
    export = ask("POST", "users/me/exports", json={"languageCode": "ru"}).json()["export"]["name"]
    until(
        lambda: ask("GET", export).json()["export"]["state"] == "EXPORT_STATE_READY",
        EXPORTED_S,
        "the archive is there",
    )
    ask("GET", "users/me/exports")
    link = ask("POST", f"{export}:download", json={}).json()["downloadUri"]
    with zipfile.ZipFile(io.BytesIO(httpx.get(link).content)) as archive:
        profiles = archive.read("identity/profiles.jsonl").splitlines()
        assert [json.loads(line)["display_name"] for line in profiles] == ["Vera"]


def thought_again(ask: Callable[..., httpx.Response], nobody: Callable[..., Any]) -> None:
    """Who wanted to be erased, and stays."""
    planned = ask("POST", "users/me/erasure", json={}).json()["erasure"]
    assert ask("GET", "users/me/erasure").json()["erasure"]["certificateSecret"] == ""
    ask("POST", "users/me/erasure:cancel", json={})
    wanted = {key: planned[key] for key in ("certificateId", "certificateSecret")}
    nobody("POST", "erasureCertificates:get", json=wanted)


def test_the_edge_serves_this_document_and_the_page(athlete: Athlete) -> None:
    served = httpx.get(f"{athlete.stack.rest_url}/openapi.json", follow_redirects=True)
    assert served.json() == told()
    page = httpx.get(f"{athlete.stack.rest_url}/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
