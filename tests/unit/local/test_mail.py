"""`palestra mail`: whose letters it shows, in which order, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from mesh.local import mail
from mesh.local.cli import app
from mesh.local.places import Places

VERA, PAUL = "vera@example.com", "+79123456789"


def sent(state: Path, number: int, to: str, code: str = "", **details: str) -> None:
    """A letter as identity's mailbox keeps it."""
    folder = Places(state).mail
    folder.mkdir(parents=True, exist_ok=True)
    letter = {"time": f"2026-11-21T12:00:0{number}+00:00", "to": to, "kind": "new_sign_in"}
    content = json.dumps({**letter, "code": code, "details": details})
    folder.joinpath(f"000{number}.json").write_text(content)


def shown(state: Path, *arguments: str) -> list[str]:
    """The lines that the command prints."""
    told = CliRunner().invoke(app, ["mail", *arguments, "--state", str(state)])
    assert told.exit_code == 0, told.output
    return told.output.splitlines()


def test_letters_are_shown_in_their_order_all_or_one_persons(tmp_path: Path) -> None:
    sent(tmp_path, 2, PAUL)
    sent(tmp_path, 1, "Vera@example.com", "48151623", device="Safari")
    assert shown(tmp_path) == [
        "2026-11-21 12:00:01  Vera@example.com  new sign in  code 48151623  device Safari",
        "2026-11-21 12:00:02  +79123456789  new sign in",
    ]
    assert len(shown(tmp_path, VERA)) == 1
    assert shown(tmp_path, "nobody@example.com") == []
    assert json.loads(shown(tmp_path, PAUL, "--json")[0])["to"] == PAUL


def test_new_letters_come_as_they_are_sent(tmp_path: Path) -> None:
    sent(tmp_path, 1, VERA)
    following = mail.letters(Places(tmp_path), VERA, follow=True)
    assert next(following)["time"].endswith("01+00:00")
    sent(tmp_path, 2, PAUL)
    sent(tmp_path, 3, VERA)
    assert next(following)["time"].endswith("03+00:00")


def test_what_is_no_letter_is_passed_over(tmp_path: Path) -> None:
    Places(tmp_path).mail.mkdir(parents=True)
    Places(tmp_path).mail.joinpath("0001.json").write_text("half a let")
    assert shown(tmp_path) == []
    assert shown(tmp_path / "no state at all") == []
