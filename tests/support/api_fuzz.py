"""schemathesis against a running edge, and what of its findings is allowed.

Owns the way it is run and the list's form. An allowed finding has a reason and a last day;
after that day it is a finding again. The list is `tests/contract/api_findings.toml`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.made_requests import LAST_CALLS

LIST = Path(__file__).resolve().parent.parent / "contract" / "api_findings.toml"
TIMEOUT_S = 3600
_CHECKS = "all"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an answer was, and should not have been."""

    check: str
    operation: str
    """The verb that was sent, and the operation's path: `GET /v1/users/{user}`."""
    status: int
    reason: str
    """The error's reason; empty where it has none."""
    domain: str
    """Whose reason it is."""
    said: str
    """The answer's message, or what the check says."""
    request: str
    """How to ask again, without the token."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Findings that are known, and why they are none for now."""

    check: str
    says: re.Pattern[str]
    """Of `STATUS REASON message`, from its beginning."""
    operation: re.Pattern[str]
    request: re.Pattern[str]
    """Of the request, anywhere in it."""
    domain: re.Pattern[str]
    """Of the whole name of whose reason it is."""
    because: str
    until: dt.date

    def covers(self, finding: Finding, today: dt.date) -> bool:
        """Whether the finding is such a one, today."""
        told = f"{finding.status} {finding.reason} {finding.said}"
        return (
            finding.check == self.check
            and today <= self.until
            and self.operation.search(finding.operation) is not None
            and self.request.search(finding.request) is not None
            and self.says.match(told) is not None
            and self.domain.fullmatch(finding.domain) is not None
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did and found."""

    cases: int
    answered: frozenset[str]
    """The operations that answered something else than a refusal of the edge's."""
    findings: tuple[Finding, ...]


def allowed(path: Path = LIST) -> tuple[Allowed, ...]:
    """The list; fails where an entry has no reason or no date."""
    entries = tomllib.loads(path.read_text())["allowed"]
    return tuple(_entry(each) for each in entries)


def _entry(entry: dict[str, Any]) -> Allowed:
    because, until = entry["because"], entry["until"]
    if not because.strip() or not isinstance(until, dt.date):
        raise ValueError(f"an entry needs a reason and a date: {entry}")
    says, operation, request = (
        re.compile(entry.get(name, ""), re.DOTALL) for name in ("says", "operation", "request")
    )
    domain = re.compile(entry.get("domain", ".*"))
    return Allowed(entry["check"], says, operation, request, domain, because, until)


def run(url: str, token: str, folder: Path, *, seed: int, examples: int) -> Run:
    """Lets schemathesis ask for all that the document at the edge has."""
    report = folder / "events.ndjson"
    tool = Path(sysconfig.get_path("scripts")) / "schemathesis"
    done = subprocess.run(
        [
            *(tool, "run", f"{url}/docs/openapi.json", "--url", url, "--no-color"),
            *("--header", f"Authorization: Bearer {token}", "--header", "x-palestra-strict: 1"),
            *("--checks", _CHECKS, "--mode", "all", "--phases", "examples,coverage,fuzzing"),
            *("--seed", str(seed), "--max-examples", str(examples), "--workers", "1"),
            *("--request-timeout", "10", "--suppress-health-check", "all"),
            *("--report", "ndjson", "--report-ndjson-path", str(report)),
            *("--output-sanitize", "false", "--output-truncate", "false"),
            *(f"--exclude-operation-id={name}" for name in sorted(LAST_CALLS)),
            "--continue-on-failure",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    # 1 is for findings; everything else is the tool's own trouble.
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]
    return _read(report)


def _read(report: Path) -> Run:
    cases, answered, findings = 0, set[str](), list[Finding]()
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished")
        if scenario is None:
            continue
        recorder = scenario["recorder"]
        # One that ended before it asked has none.
        for case, interaction in recorder.get("interactions", {}).items():
            cases += 1
            response = interaction["response"]
            if response is not None and response["status_code"] < 300:
                answered.add(recorder["label"])
            findings += _findings(recorder, case, interaction)
    return Run(cases, frozenset(answered), tuple(findings))


def _findings(
    recorder: dict[str, Any], case: str, interaction: dict[str, Any]
) -> Iterator[Finding]:
    for check in recorder["checks"].get(case, ()):
        if check["status"] == "failure":
            failure = check["failure_info"]["failure"]
            response = interaction["response"] or {"status_code": 0, "content": None}
            status = _status(response)
            infos = [each for each in status.get("details", ()) if "reason" in each]
            yield Finding(
                check["name"],
                f"{interaction['request']['method']} {recorder['label'].split(' ', 1)[1]}",
                response["status_code"],
                infos[0]["reason"] if infos else "",
                infos[0].get("domain", "") if infos else "",
                status.get("message") or failure["message"],
                _request(interaction["request"]),
            )


def _status(response: dict[str, Any]) -> dict[str, Any]:
    content = (response["content"] or {}).get("$base64", "")
    try:
        told = json.loads(base64.b64decode(content))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _request(request: dict[str, Any]) -> str:
    body = base64.b64decode((request.get("body") or {}).get("$base64", ""))
    headers = {k: v for k, v in request["headers"].items() if k.lower() != "authorization"}
    return f"{request['method']} {request['uri']} {headers} {body[:400]!r}"
