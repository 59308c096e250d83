"""The access table: what each method answers to each kind of caller, as the contract has it.

Derived from the policies alone, and committed as `tests/contract/access.txt`, so that
a change of access is seen in review. Never looks at the enforcement: tests compare
the two.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence

from mesh import catalog, policy
from palestra.mesh.v1 import policy_pb2
from scripts import protos

TABLE = protos.ROOT / "tests" / "contract" / "access.txt"
OK = "OK"
NONE = "-"
FLOW = "FLOW"
NOT_OWNER = "PERMISSION_DENIED/NOT_OWNER"
ROLE_MISSING = "PERMISSION_DENIED/ROLE_MISSING"
SCOPE_MISSING = "PERMISSION_DENIED/SCOPE_MISSING"
CALLER_REFUSED = "PERMISSION_DENIED/CALLER_REFUSED"
OUTSIDE_MESH = "UNAUTHENTICATED/OUTSIDE_MESH"
NO_TOKEN = "UNAUTHENTICATED/TOKEN_MISSING"  # noqa: S105
LATE_TOKEN = "UNAUTHENTICATED/TOKEN_EXPIRED"  # noqa: S105
FORGED_TOKEN = "UNAUTHENTICATED/TOKEN_INVALID"  # noqa: S105

COLUMNS = (
    "no_token",
    "expired",
    "forged",
    "other_user",
    "wrong_role",
    "right_user",
    "wrong_service",
    "past_mesh",
)
_LEGEND = """\
# Who gets what answer from each method: the status code, and the reason beside it.
# Derived from the contract by `python -m scripts.access_table --write`; reviewed as a diff.
#
# In every column but the last two the call comes from a workload in `callers`.
#   no_token       with no access token
#   expired        with a token whose time is over
#   forged         with a token that identity did not sign
#   other_user     a person asks for another one's thing
#   wrong_role     the right person, without the role that the method asks for;
#                  where it asks for none, without the scope
#   right_user     the right person, with everything that the method asks for
#   wrong_service  with everything right, from a workload that is not in `callers`
#   past_mesh      with everything right, but not through the node proxy
#   callers        the workloads that may call; `*` is every one but the edge
#   scope          what the token must hold
#
# OK    the method runs.
# FLOW  the method runs, and the service decides by the owner's visibility.
# -     has no meaning: the request names nobody's thing, or neither role nor scope is asked for.
"""


def row(method: policy.Method) -> dict[str, str]:
    """The method's cells, by column."""
    rules = method.policy
    public = rules.access == policy.PUBLIC
    service = rules.access == policy.SERVICE
    return {
        "no_token": OK if public or service else NO_TOKEN,
        "expired": OK if public else LATE_TOKEN,
        "forged": OK if public else FORGED_TOKEN,
        "other_user": _other_user(rules),
        "wrong_role": _wrong_role(rules),
        "right_user": OK,
        "wrong_service": CALLER_REFUSED,
        "past_mesh": OUTSIDE_MESH,
    }


def _other_user(rules: policy_pb2.Policy) -> str:
    if not rules.owner:
        return NONE
    return FLOW if rules.others == policy_pb2.OTHERS_VISIBLE else NOT_OWNER


def _wrong_role(rules: policy_pb2.Policy) -> str:
    if rules.access == policy.ROLE:
        return ROLE_MISSING
    return SCOPE_MISSING if rules.scope else NONE


def callers(method: policy.Method) -> tuple[str, ...]:
    """The workloads that may call the method, the edge first."""
    named = tuple(sorted(method.policy.callers))
    return named if method.policy.access == policy.SERVICE else (catalog.EDGE, *named)


def derive(contract: policy.Contract) -> str:
    """The whole table as text."""
    lines: list[tuple[str, ...]] = [("method", *COLUMNS, "callers", "scope")]
    for path, method in sorted(contract.methods.items()):
        cells = row(method)
        lines.append(
            (
                path.removeprefix("/"),
                *(cells[column] for column in COLUMNS),
                ",".join(callers(method)),
                method.policy.scope or NONE,
            )
        )
    return _LEGEND + "\n" + "\n".join(_aligned(lines)) + "\n"


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def difference(committed: str, derived: str) -> str:
    """A unified diff of the two; empty where they are the same."""
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True),
        derived.splitlines(keepends=True),
        "tests/contract/access.txt",
        "the contract",
    )
    return "".join(lines)


def main() -> None:
    """`python -m scripts.access_table [--write]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the committed table")
    arguments = parser.parse_args()
    derived = derive(policy.load())
    if arguments.write:
        TABLE.write_text(derived)
    found = difference(TABLE.read_text() if TABLE.exists() else "", derived)
    print(found or "the committed table is the contract's")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
