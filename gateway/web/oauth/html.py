"""The pages, as HTML that needs no script but for passkeys: every text is escaped, nothing
comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from gateway.pages import OAUTH_SCRIPT, OAUTH_STYLE, SSO_START
from gateway.web.oauth.words import WORDS
from palestra.identity.v1 import oauth_service_pb2 as pb

STYLE = (Path(__file__).parent / "page.css").read_bytes
SCRIPT = (Path(__file__).parent / "passkey.js").read_bytes
TOTP, RECOVERY_CODE, PASSKEY = "totp", "recovery_code", "passkey"
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Palestra</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<main>
<p class="mark">Palestra</p>
{body}
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Second:
    """A sign-in that waits for its second factor, as the browser carries it from try to try."""

    ticket: str = field(repr=False)
    kinds: tuple[str, ...]
    options: str
    """What a passkey is asked for with, as JSON; empty without one."""


def _page(language: str, title: str, body: str) -> str:
    return _PAGE.format(language=language, title=escape(title), style=OAUTH_STYLE.path, body=body)


def _form(action: str, step: str, proof: str, content: str) -> str:
    return (
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="step" value="{step}">'
        f'<input type="hidden" name="proof" value="{proof}">{content}</form>'
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def _told(words: Mapping[str, str], trouble: str) -> str:
    return f'<p class="trouble" role="alert">{escape(words[trouble])}</p>' if trouble else ""


def _passkey(words: Mapping[str, str], action: str, step: str, proof: str, second: Second) -> str:
    """The form that the script shows, fills and sends; hidden without it."""
    content = (
        f'<p class="trouble" role="alert" hidden>{words["no_passkey"]}</p>'
        f"{_hidden('ticket', second.ticket)}{_hidden('kinds', ' '.join(second.kinds))}"
        f"{_hidden('options', second.options)}{_hidden('passkey', '')}"
        f"<button>{words['with_passkey']}</button>"
    )
    made = _form(action, step, proof, content)
    options = f' hidden data-passkey="{escape(second.options)}"'
    script = f'<script src="{OAUTH_SCRIPT.path}" defer></script>'
    return made.replace("<form", f"<form{options}", 1) + script


def sign_in(
    language: str,
    asked: pb.DescribeAuthorizationResponse,
    action: str,
    proof: str,
    email: str = "",
    trouble: str = "",
) -> str:
    """The page that asks who one is; `trouble` is a key of the words."""
    words = WORDS[language]
    told = _told(words, trouble)
    # Where the address stands already, the password is what was wrong.
    at_email, at_password = ("", " autofocus") if email else (" autofocus", "")
    content = (
        f'<label for="email">{words["email"]}</label>'
        f'<input id="email" name="email" type="email" autocomplete="username" required'
        f' maxlength="254" value="{escape(email)}"{at_email}>'
        f'<label for="password">{words["password"]}</label>'
        f'<input id="password" name="password" type="password" required maxlength="256"'
        f' autocomplete="current-password"{at_password}>'
        f'<button class="main">{words["sign_in"]}</button>'
    )
    to = words["sign_in_to"].format(app=asked.app_display_name)
    body = f"<h1>{words['sign_in']}</h1><p>{escape(to)}</p>{told}" + _form(
        action, "sign-in", proof, content
    )
    if asked.passkey.passkey_options:
        alone = Second(asked.passkey.ticket, (PASSKEY,), asked.passkey.passkey_options)
        body += _passkey(words, action, "passkey", proof, alone)
    if asked.sso:
        # The same request, by another door.
        shop = f"{SSO_START.path}?{action.partition('?')[2]}"
        body += f'<p class="or"><a href="{escape(shop)}">{words["with_shop"]}</a></p>'
    return _page(language, words["sign_in"], body)


def second_step(
    language: str,
    asked: pb.DescribeAuthorizationResponse,
    action: str,
    proof: str,
    second: Second,
    trouble: str = "",
) -> str:
    """The page that asks for the second factor."""
    words = WORDS[language]
    to = words["sign_in_to"].format(app=asked.app_display_name)
    body = f"<h1>{words['second_step']}</h1><p>{escape(to)}</p>{_told(words, trouble)}"
    kept = (
        _hidden("ticket", second.ticket)
        + _hidden("kinds", " ".join(second.kinds))
        + _hidden("options", second.options)
    )
    if TOTP in second.kinds:
        content = kept + (
            f'<label for="code">{words["code"]}</label>'
            '<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code"'
            ' required maxlength="16" autofocus>'
            f'<button class="main">{words["go_on"]}</button>'
        )
        body += _form(action, "second", proof, content)
    if PASSKEY in second.kinds:
        body += _passkey(words, action, "second", proof, second)
    if RECOVERY_CODE in second.kinds:
        content = kept + (
            f'<label for="recovery">{words["recovery_code"]}</label>'
            '<input id="recovery" name="recovery" autocomplete="off" autocapitalize="none"'
            ' spellcheck="false" required maxlength="32">'
            f"<button>{words['go_on']}</button>"
        )
        made = _form(action, "second", proof, content)
        body += f"<details><summary>{words['with_recovery_code']}</summary>{made}</details>"
    if PASSKEY in second.kinds and len(second.kinds) == 1:
        body += f"<noscript><p>{words['needs_script']}</p></noscript>"
    return _page(language, words["second_step"], body)


def consent(language: str, asked: pb.DescribeAuthorizationResponse, action: str, proof: str) -> str:
    """The page that asks whether an app may."""
    words = WORDS[language]
    title = words["asks"].format(app=asked.app_display_name)
    items = "".join(f"<li>{escape(getattr(each, language))}</li>" for each in asked.scopes)
    about = ""
    if asked.homepage_uri:
        about = (
            f'<p><a href="{escape(asked.homepage_uri)}" rel="noopener noreferrer"'
            f' target="_blank">{words["about"]}</a></p>'
        )
    warning = words["not_made_by_us"].format(origin=asked.return_origin)
    person = words["signed_in_as"].format(person=asked.person_display_name)
    body = (
        f"<h1>{escape(title)}</h1><p>{words['will_be_able']}</p><ul>{items}</ul>"
        f'<p class="small">{escape(warning)}</p>{about}<div class="two">'
        + _form(action, "allow", proof, f'<button class="main">{words["allow"]}</button>')
        + _form(action, "deny", proof, f"<button>{words['deny']}</button>")
        + f'</div><p class="small">{escape(person)}</p>'
        + _form(action, "switch", proof, f'<button class="link">{words["switch"]}</button>')
    )
    return _page(language, title, body)


def trouble(language: str, key: str, why: str = "") -> str:
    """A page that leads nowhere, and says why."""
    words = WORDS[language]
    said = escape(words[key].format(why=why))
    return _page(language, words["cannot_go_on"], f"<h1>{words['cannot_go_on']}</h1><p>{said}</p>")
