"""One proxy's stream: what is answered to a request, what is pushed on a change.

Owns the protocol's state (nonces, subscriptions, what was sent). Does no input
or output, so that each turn can be tested as a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryRequest, DiscoveryResponse

from mesh.control.record import Record
from mesh.control.snapshot import EMPTY, Typed
from mesh.control.wire import CLUSTERS, ENDPOINTS, LISTENERS, ORDER

# These are served whole; the others by the names that were asked for.
_WHOLE = {CLUSTERS, LISTENERS}
MAX_NAMES = 10_000


@dataclass(slots=True)
class _Subscription:
    names: frozenset[str] = frozenset()
    nonce: str = ""
    sent: Typed = field(default=EMPTY)


class Session:
    """The state of one stream."""

    def __init__(self, proxy: str, record: Record) -> None:
        self.proxy = proxy
        self._record = record
        self._subscriptions: dict[str, _Subscription] = {}
        self._count = 0

    def on_request(self, request: DiscoveryRequest) -> DiscoveryResponse | None:
        """What a request, acknowledgement or refusal is answered with; mostly nothing."""
        if request.type_url not in ORDER:
            return None
        known = self._subscriptions.get(request.type_url)
        names = frozenset(request.resource_names[:MAX_NAMES])
        if known is None:
            known = self._subscriptions[request.type_url] = _Subscription(names)
            return self._respond(request.type_url, known)
        if request.response_nonce and request.response_nonce != known.nonce:
            # About an answer that a newer one has overtaken; its turn comes.
            return None
        self._settle(request, known)
        if names != known.names:
            known.names = names
            return self._respond(request.type_url, known)
        return None

    def on_change(self) -> list[DiscoveryResponse]:
        """What is to be pushed now, in the order in which it may be taken."""
        changed = {
            type_url
            for type_url, known in self._subscriptions.items()
            if self._record.serve(self.proxy, type_url).version != known.sent.version
        }
        if CLUSTERS in changed and ENDPOINTS in self._subscriptions:
            # A changed cluster waits for its endpoints, though it does not ask for them again.
            changed.add(ENDPOINTS)
        return [
            self._respond(type_url, self._subscriptions[type_url])
            for type_url in ORDER
            if type_url in changed
        ]

    def _settle(self, request: DiscoveryRequest, known: _Subscription) -> None:
        if not request.response_nonce:
            return
        if request.error_detail:
            words = request.error_detail.message
            version = known.sent.version
            self._record.refused(self.proxy, request.type_url, version, words)
            # It goes on with what it had: that is as good as sent.
            known.sent = self._record.serve(self.proxy, request.type_url)
        else:
            self._record.took(self.proxy, request.type_url, known.sent)

    def _respond(self, type_url: str, known: _Subscription) -> DiscoveryResponse:
        typed = self._record.serve(self.proxy, type_url)
        self._count += 1
        known.nonce, known.sent = str(self._count), typed
        wanted = typed.by_name if type_url in _WHOLE else known.names & typed.by_name.keys()
        return DiscoveryResponse(
            version_info=typed.version,
            resources=[typed.by_name[name] for name in sorted(wanted)],
            type_url=type_url,
            nonce=known.nonce,
        )
