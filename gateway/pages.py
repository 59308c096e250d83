"""What the edge serves that is no method of the contract: pages and WebSockets.

Owns the table of their paths and what each needs of the edge (token, limit, bodies).
What a page bridges to a method needs what that method's contract says, and nothing is
said twice. Plain data: the processes that answer are `gateway.web` and its like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.overrides import Limit, Overrides
from mesh import catalog, policy
from mesh.policy import Contract, Method

TELEMETRY_SUBPROTOCOL = "palestra.telemetry.v1"
BEARER_SUBPROTOCOL = "palestra.bearer."
"""Before the access token, where a browser can send no Authorization header."""
READABLE = ("GET", "HEAD")
TIMEOUT_MS = 10_000


class PageError(ValueError):
    """The table cannot be served; the words name the page."""


@dataclass(frozen=True, slots=True)
class Page:
    """A path of the edge that one of its own processes answers."""

    path: str
    part: str = catalog.WEB
    """The process that answers, one of `catalog.PARTS`."""
    under: bool = False
    """Whether everything below the path as well."""
    needs_token: bool = False
    limit: Limit | None = None
    bridges: str = ""
    """The gRPC path that it carries to: token and limit are that method's."""
    websocket: bool = False
    streaming: bool = False
    """Bodies pass as they come, however long and large; nothing is buffered."""
    raw: bool = False
    """Answers pass as they are, never compressed."""
    accepts: tuple[str, ...] = ()
    """The headers that a browser may send here beside those of methods."""
    exposes: tuple[str, ...] = ()
    """The headers that a browser may read here beside those of methods."""
    timeout_ms: int = TIMEOUT_MS
    """0 where it ends by itself."""

    @property
    def method(self) -> str:
        """What its calls are counted by: together with the method that it bridges."""
        return self.bridges or self.path

    @property
    def name(self) -> str:
        """What the route is called in statistics and messages."""
        return f"page {self.path}"

    def serves(self, path: str) -> bool:
        """Whether a request's path is this page's."""
        return path == self.path or (self.under and path.startswith(f"{self.path}/"))


TELEMETRY = Page(
    path="/ws/v1/telemetry",
    bridges="/palestra.integration.v1.TelemetryService/StreamTelemetry",
    websocket=True,
    streaming=True,
    timeout_ms=0,
)

DOCS = Page(path="/docs", under=True)
DOCUMENT = Page(path="/openapi.json")
"""Where tools look for it first."""

BLOBS = Page(
    path="/blobs/v1",
    under=True,
    streaming=True,
    raw=True,
    # Who may is said by the link; this is against whoever tries links, and is wide for those
    # who look at many pictures from behind one address.
    limit=Limit(requests=6_000, window_s=60, key="address"),
    accepts=(
        "range",
        "if-range",
        "tus-resumable",
        "upload-offset",
        "upload-length",
        "upload-checksum",
        "x-http-method-override",
    ),
    exposes=(
        "accept-ranges",
        "content-disposition",
        "content-range",
        "repr-digest",
        "tus-resumable",
        "upload-offset",
        "upload-length",
        "upload-defer-length",
        "upload-expires",
    ),
    timeout_ms=0,
)

# Passwords and secrets can be tried here, so that all edges count together.
_TRIED = Limit(requests=300, window_s=60, key="address", everywhere=True)
AUTHORIZE = Page(path="/oauth2/authorize", limit=_TRIED)
TOKEN = Page(path="/oauth2/token", limit=Limit(600, 60, "address", everywhere=True))
REVOKE = Page(path="/oauth2/revoke", limit=Limit(600, 60, "address", everywhere=True))
INTROSPECT = Page(path="/oauth2/introspect", limit=Limit(600, 60, "address", everywhere=True))
USERINFO = Page(path="/oauth2/userinfo", limit=Limit(600, 60, "address"))
JWKS = Page(path="/.well-known/jwks.json", limit=Limit(600, 60, "address"))
OLD_JWKS = Page(path="/oauth2/jwks", limit=Limit(600, 60, "address"))
"""Where the keys were first."""
OAUTH_STYLE = Page(path="/oauth2/page.css")
OAUTH_SCRIPT = Page(path="/oauth2/passkey.js")
OAUTH_METADATA = Page(
    path="/.well-known/oauth-authorization-server", limit=Limit(600, 60, "address")
)
OPENID_METADATA = Page(path="/.well-known/openid-configuration", limit=Limit(600, 60, "address"))
SSO_START = Page(
    path="/sso/start", bridges="/palestra.identity.v1.SsoService/StartSso", timeout_ms=15_000
)
SSO_CALLBACK = Page(path="/sso/callback", limit=_TRIED, timeout_ms=25_000)
SSO_LOGOUT = Page(path="/sso/backchannel-logout", limit=_TRIED, timeout_ms=15_000)
SSO: tuple[Page, ...] = (SSO_START, SSO_CALLBACK, SSO_LOGOUT)
OAUTH: tuple[Page, ...] = (
    AUTHORIZE,
    TOKEN,
    REVOKE,
    INTROSPECT,
    USERINFO,
    JWKS,
    OLD_JWKS,
    OAUTH_STYLE,
    OAUTH_SCRIPT,
    OAUTH_METADATA,
    OPENID_METADATA,
)

PAGES: tuple[Page, ...] = (TELEMETRY, DOCS, DOCUMENT, BLOBS, *OAUTH, *SSO)


def present(contract: Contract, pages: Iterable[Page] = PAGES) -> tuple[Page, ...]:
    """The pages but for those that bridge to a domain of which the contract says nothing."""
    domains = {method.service for method in contract.methods.values()}
    return tuple(
        page
        for page in pages
        if not page.bridges or policy.service_of_package(page.bridges) in domains
    )


def derive(
    contract: Contract, overrides: Overrides, pages: Iterable[Page] = PAGES
) -> tuple[Page, ...]:
    """The pages with what their methods' contract says, the most particular first.

    Raises:
        PageError: a page bridges what is no method for people, or two share a path.
    """
    derived = [_derived(page, contract, overrides) for page in pages]
    paths = {page.path for page in derived}
    if len(paths) != len(derived):
        raise PageError("two pages have one path")
    # What is below another comes first; a page without anything below it before one with.
    return tuple(sorted(derived, key=lambda page: (-len(page.path), page.under, page.path)))


def bridged(contract: Contract, pages: Iterable[Page] = PAGES) -> list[Method]:
    """The methods that the edge's own processes may call: what pages bridge, and what the
    contract opens to the edge but not to those outside.
    """
    inside = [
        method
        for method in contract.methods.values()
        if method.policy.access == policy.SERVICE and method.allows_service(catalog.EDGE)
    ]
    return [*(contract.methods[page.bridges] for page in pages if page.bridges), *inside]


def _derived(page: Page, contract: Contract, overrides: Overrides) -> Page:
    if page.part not in {part.name for part in catalog.PARTS}:
        raise PageError(f"{page.name} is of no part of the edge: {page.part!r}")
    if not page.bridges:
        return page
    method = contract.methods.get(page.bridges)
    if method is None or method.policy.access == policy.SERVICE:
        raise PageError(f"{page.name} bridges no method for people: {page.bridges}")
    return replace(
        page,
        needs_token=method.policy.access != policy.PUBLIC,
        limit=overrides.limit(method),
    )
