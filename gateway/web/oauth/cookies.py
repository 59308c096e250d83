"""The two cookies of the authorisation pages, and the proof that a form came from one of them.

`browser` is the sign-in; `form` is random and of the browser alone: each form carries what
only it could have made of it. Over HTTPS both are `__Host-`: of this host only, and never
sent in the clear. Neither is of any use to the methods of the API.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from mesh.runtime.errors import MeshError

_BROWSER, _FORM, _SHOP = "palestra-browser", "palestra-form", "palestra-shop"
_LONGEST = 256
_LONGEST_KEPT = 3000


@dataclass(frozen=True, slots=True)
class Cookies:
    """What a request's cookies say."""

    secure: bool
    """Whether the browser speaks HTTPS."""
    browser: str
    form: str
    fresh: bool
    """Whether `form` was made just now, and has to be told."""

    @property
    def proof(self) -> str:
        """What a form of this browser carries, in this state of its sign-in."""
        return hmac.new(self.form.encode(), self.browser.encode(), "sha256").hexdigest()

    def tell(self, response: Response) -> None:
        """Sends the form cookie where the browser has none."""
        if self.fresh:
            self._set(response, _FORM, self.form, None)

    def sign_in(self, response: Response, token: str, max_age_s: int) -> None:
        """Sends the sign-in, and another form cookie: forms of before are void."""
        self._set(response, _BROWSER, token, max_age_s)
        self._set(response, _FORM, secrets.token_urlsafe(32), None)

    def sign_out(self, response: Response) -> None:
        """Takes the sign-in away."""
        self._set(response, _BROWSER, "", 0)

    def keep(self, response: Response, token: str, query: str, max_age_s: int) -> None:
        """Keeps what a sign-in with the shop needs when the person comes back.

        Raises:
            MeshError: INVALID_FIELD where the request is too long to be kept.
        """
        kept = f"{token}.{base64.urlsafe_b64encode(query.encode()).decode()}"
        if len(kept) > _LONGEST_KEPT:
            raise MeshError("INVALID_FIELD", "the request is too long")
        self._set(response, _SHOP, kept, max_age_s)

    def drop_kept(self, response: Response) -> None:
        """It serves once."""
        self._set(response, _SHOP, "", 0)

    def _set(self, response: Response, name: str, value: str, max_age_s: int | None) -> None:
        response.set_cookie(
            _named(name, secure=self.secure),
            value,
            max_age=max_age_s,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )


def read(request: Request) -> Cookies:
    """The cookies of a request."""
    secure = request.headers.get("x-forwarded-proto") == "https"
    browser = request.cookies.get(_named(_BROWSER, secure=secure), "")
    form = request.cookies.get(_named(_FORM, secure=secure), "")
    fresh = not 32 <= len(form) <= _LONGEST
    if len(browser) > _LONGEST:
        browser = ""
    return Cookies(secure, browser, secrets.token_urlsafe(32) if fresh else form, fresh)


def kept(request: Request, cookies: Cookies) -> tuple[str, str]:
    """The token and the query of a sign-in with the shop that this browser began; empty without."""
    token, _, query = request.cookies.get(_named(_SHOP, secure=cookies.secure), "").partition(".")
    try:
        return token[:_LONGEST], base64.urlsafe_b64decode(query[:_LONGEST_KEPT]).decode()
    except ValueError:
        return "", ""


def check(request: Request, cookies: Cookies, shown: str) -> None:
    """Refuses a form that is not of our own page in this browser.

    Raises:
        MeshError: CALLER_REFUSED
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    proved = hmac.compare_digest(cookies.proof.encode(), shown.encode())
    if cookies.fresh or site not in ("same-origin", "none") or not proved:
        raise MeshError("CALLER_REFUSED", "the form is not of this page; load it again")


def _named(name: str, *, secure: bool) -> str:
    return f"__Host-{name}" if secure else name
