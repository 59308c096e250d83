"""A partner's app as its makers register it, and a browser without scripts that a person uses."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.athletes import Athlete
from tests.support.foreign_clients import OAuth2Client
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack

REDIRECT = "https://partner.example/back"
_INPUT = re.compile(r'<input[^>]*name="([a-z]+)"[^>]*>')
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z]+)" value="([^"]*)">')
_FORM = re.compile(r'<form[^>]* method="post" action="([^"]*)">(.*?)</form>', re.DOTALL)


@dataclass
class Browser:
    """What a browser does with pages: cookies, forms, redirects; it runs no script."""

    http: httpx.Client
    page: httpx.Response = field(init=False)
    sent: dict[str, str] = field(init=False)
    """The form that was sent last."""

    def open(self, uri: str) -> None:
        """Goes there; redirects are not followed away from the edge."""
        self.page = self.http.get(uri)
        self._follow()

    def submit(self, step: str, **typed: str) -> None:
        """Fills and sends the form of that step that has those fields to type in."""
        for action, content in _FORM.findall(self.page.text):
            if f'name="step" value="{step}"' not in content:
                continue
            hidden = {name: html.unescape(value) for name, value in _HIDDEN.findall(content)}
            names = set(_INPUT.findall(content)) - hidden.keys()
            if names != typed.keys() and not (hidden.keys() >= typed.keys() and not names):
                continue
            self.sent = hidden | typed
            form = self.sent
            self.page = self.http.post(html.unescape(action), data=form)
            self._follow()
            return
        raise AssertionError(f"no form {step} of {sorted(typed)} in {self.page.text}")

    def _follow(self) -> None:
        while self.page.is_redirect and self.page.headers["location"].startswith("/"):
            self.page = self.http.get(self.page.headers["location"])

    @property
    def sent_to(self) -> str:
        """Where the person was sent back to."""
        assert self.page.status_code == httpx.codes.SEE_OTHER, self.page.text
        return self.page.headers["location"]


@dataclass(frozen=True)
class Partner:
    """An app of others, with what it registered."""

    stack: WholeStack
    client_id: str
    secret: str
    name: str

    def client(self, **more: Any) -> OAuth2Client:
        """A client that somebody else wrote."""
        return OAuth2Client(
            self.client_id,
            self.secret,
            scope="profile.read activities.read",
            redirect_uri=REDIRECT,
            code_challenge_method="S256",
            timeout=10,
            **more,
        )

    @property
    def token_uri(self) -> str:
        return f"{self.stack.rest_url}/oauth2/token"

    @property
    def authorize_uri(self) -> str:
        return f"{self.stack.rest_url}/oauth2/authorize"


def registered(owner: Athlete, **changed: Any) -> Partner:
    app = {
        "displayName": 'Stride & <b>"Co"</b>',
        "homepageUri": "https://partner.example",
        "redirectUris": [REDIRECT],
        "scopes": ["profile.read", "activities.read"],
        "authentication": "CLIENT_AUTHENTICATION_SECRET",
    } | changed
    refused = owner.rest.post("/v1/users/me/apps", json=app)
    assert refusal(refused)[2] == "ADDRESS_NOT_VERIFIED"
    owner.verify()
    answer = owner.rest.post("/v1/users/me/apps", json=app)
    assert answer.is_success, answer.text
    made = answer.json()
    name = made["app"]["name"]
    return Partner(owner.stack, made["app"]["clientId"], made.get("clientSecret", ""), name)
