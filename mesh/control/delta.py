"""One proxy's incremental stream: only what it lacks is told, only what is gone is taken away.

Owns the protocol's state per type: what is subscribed, what the proxy has, what it
has not yet answered for. Does no input or output, so that each turn can be tested
as a value. Which version is served is `record`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    Resource,
)

from mesh.control.record import Record
from mesh.control.snapshot import Typed
from mesh.control.wire import CLUSTERS, ENDPOINTS, LISTENERS, ORDER

EVERYTHING = "*"
MAX_NAMES = 10_000
# Answers that a proxy may owe of one type; Envoy answers each before it reads the next.
MAX_UNANSWERED = 64
# No hash: what a proxy has of a resource that it refused.
_UNSURE = "?"


@dataclass(slots=True)
class _Sent:
    """One response, until it is acknowledged or refused."""

    versions: dict[str, str]
    """What it carried, by name; an empty version is a removal."""
    typed: Typed
    """The whole that the proxy has once it took this."""
    whole: bool
    """Whether anything of that whole is still to come."""


@dataclass(slots=True)
class _Subscription:
    everything: bool = False
    names: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)
    """What the proxy has, as far as it was told; an empty version: it knows of none."""
    refused: dict[str, str] = field(default_factory=dict)
    """What it refused on this stream, never to be sent again."""
    unanswered: dict[str, _Sent] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return self.everything or name in self.names


class DeltaSession:
    """The state of one incremental stream."""

    def __init__(self, proxy: str, record: Record) -> None:
        self.proxy = proxy
        self._record = record
        self._subscriptions: dict[str, _Subscription] = {}
        # Clusters that were sent and whose endpoints were not yet since.
        self._warming: set[str] = set()
        self._count = 0

    def on_request(self, request: DeltaDiscoveryRequest) -> list[DeltaDiscoveryResponse]:
        """What a request, acknowledgement or refusal is answered with; mostly nothing."""
        if request.type_url not in ORDER:
            return []
        known = self._subscriptions.get(request.type_url)
        first = known is None
        if known is None:
            known = self._subscriptions[request.type_url] = _first_of(request)
        self._settle(request, known)
        _subscribe(known, request, first=first)
        answer = self._respond(request.type_url, known)
        if first and not answer and known.everything and not request.initial_resource_versions:
            # Nothing is an answer too: whoever asks for everything waits for it.
            answer = [self._send(request.type_url, known, {}, whole=True)]
        return answer

    def on_change(self) -> list[DeltaDiscoveryResponse]:
        """What is to be pushed: news in the order in which they may be taken, removals last."""
        news: list[DeltaDiscoveryResponse] = []
        removals: list[DeltaDiscoveryResponse] = []
        for type_url in ORDER:
            if known := self._subscriptions.get(type_url):
                for each in self._respond(type_url, known):
                    (removals if each.removed_resources else news).append(each)
        # A cluster goes when no route names it any more.
        return [*news, *reversed(removals)]

    def _settle(self, request: DeltaDiscoveryRequest, known: _Subscription) -> None:
        """Takes note of the answer to a response, whichever; an unknown nonce says nothing."""
        sent = known.unanswered.pop(request.response_nonce, None)
        if sent is None:
            return
        if request.error_detail:
            self._record.refused(
                self.proxy, request.type_url, sent.typed.version, request.error_detail.message
            )
            # What of it was taken is not known: all of it counts as not there, and the
            # last good version of each is sent again.
            known.refused.update(sent.versions)
            for name, version in sent.versions.items():
                if known.known.get(name) == version:
                    known.known[name] = _UNSURE
            return
        for name in sent.versions:
            known.refused.pop(name, None)
        if sent.whole:
            self._record.took(self.proxy, request.type_url, sent.typed)

    def _respond(self, type_url: str, known: _Subscription) -> list[DeltaDiscoveryResponse]:
        typed = self._record.serve(self.proxy, type_url)
        if type_url == ENDPOINTS:
            self._endpoints_anew(known)
        news = {
            name: version
            for name, version in typed.versions.items()
            if known.wants(name) and version not in (known.known.get(name), known.refused.get(name))
        }
        gone = {
            name: ""
            for name in sorted(known.names | known.known.keys())
            if name not in typed.versions
            and "" not in (known.known.get(name), known.refused.get(name))
        }
        if not news and not gone:
            self._nothing_new(type_url, known, typed)
            return []
        answers = []
        if type_url == CLUSTERS:
            self._warming.update(news)
        if news:
            answers.append(self._send(type_url, known, news, whole=not gone))
        if gone:
            answers.append(self._send(type_url, known, gone, whole=True))
        return answers

    def _endpoints_anew(self, known: _Subscription) -> None:
        """A changed cluster waits for its endpoints, though it does not ask for them again."""
        for name in [each for each in self._warming if known.wants(each)]:
            self._warming.remove(name)
            known.known.pop(name, None)

    def _nothing_new(self, type_url: str, known: _Subscription, typed: Typed) -> None:
        """It has the newest already, or will once it took what is on the way."""
        if known.unanswered:
            last = next(reversed(known.unanswered.values()))
            last.typed = typed
        elif _UNSURE not in known.known.values():
            self._record.took(self.proxy, type_url, typed)

    def _send(
        self, type_url: str, known: _Subscription, versions: dict[str, str], *, whole: bool
    ) -> DeltaDiscoveryResponse:
        typed = self._record.serve(self.proxy, type_url)
        self._count += 1
        nonce = str(self._count)
        known.unanswered[nonce] = _Sent(versions, typed, whole)
        if len(known.unanswered) > MAX_UNANSWERED:
            del known.unanswered[next(iter(known.unanswered))]
        for name, version in versions.items():
            known.known[name] = version
            if not version and name not in known.names:
                del known.known[name]
        return DeltaDiscoveryResponse(
            system_version_info=typed.version,
            resources=[
                Resource(name=name, version=version, resource=typed.by_name[name])
                for name, version in versions.items()
                if version
            ],
            type_url=type_url,
            removed_resources=[name for name, version in versions.items() if not version],
            nonce=nonce,
        )


def _first_of(request: DeltaDiscoveryRequest) -> _Subscription:
    """A subscription by the first request of a type, which may tell what is there from before."""
    legacy = request.type_url in (CLUSTERS, LISTENERS) and not request.resource_names_subscribe
    known = dict(list(request.initial_resource_versions.items())[:MAX_NAMES])
    return _Subscription(everything=legacy, known=known)


def _subscribe(known: _Subscription, request: DeltaDiscoveryRequest, *, first: bool) -> None:
    wanted = _bounded(request.resource_names_subscribe)
    known.everything |= EVERYTHING in wanted
    for name in wanted - {EVERYTHING}:
        if len(known.names) >= MAX_NAMES and name not in known.names:
            break
        known.names.add(name)
        if not first:
            # Who asks anew is told anew: it may have thrown away what it had.
            known.known.pop(name, None)
            known.refused.pop(name, None)
    unwanted = _bounded(request.resource_names_unsubscribe)
    known.everything &= EVERYTHING not in unwanted
    for name in unwanted - {EVERYTHING}:
        known.names.discard(name)
        # By everything it may still be wanted, and is then told again, as the protocol says.
        known.known.pop(name, None)
    for name in [each for each in known.known if not known.wants(each)]:
        del known.known[name]


def _bounded(names: Iterable[str]) -> set[str]:
    return set(list(names)[:MAX_NAMES])
