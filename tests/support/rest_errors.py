"""Reading an error as REST tells it.

Owns the shape that every error has, whoever made it: a JSON of google.rpc.Status with
exactly one ErrorInfo, whose reason is the contract's.
"""

from __future__ import annotations

from functools import cache

import grpc
import httpx

from mesh import policy

_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@cache
def meanings() -> frozenset[tuple[str, str]]:
    """Domain and reason of every error that the contract knows."""
    return frozenset(policy.load().meanings)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """HTTP status, gRPC code and reason of an error; fails where it is not by the contract."""
    assert answer.is_error, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json", answer.text
    status = answer.json()
    infos = [each for each in status["details"] if each["@type"] == _INFO]
    assert len(infos) == 1, status
    assert (infos[0]["domain"], infos[0]["reason"]) in meanings(), status
    assert status["message"]
    assert not [name for name in answer.headers if name.startswith("grpc-")]
    return answer.status_code, _CODES[status["code"]], infos[0]["reason"]
