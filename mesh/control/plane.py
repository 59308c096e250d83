"""The control plane at work: inputs change, snapshots are checked and published.

Owns the current inputs. Decides that what does not fit is not published: the
proxies keep what they have, and `control.json` says why.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import structlog
from google.protobuf.message import DecodeError

from gateway import overrides
from mesh import catalog, policy
from mesh.control import clients, keys, render, site, slices, traffic
from mesh.control.authority import Identity, Life, utc_now
from mesh.control.choice import Choice
from mesh.control.drawing import Drawing
from mesh.control.files import Watched
from mesh.control.inputs import Inputs, Settings
from mesh.control.judge import by_envoy
from mesh.control.proof import open_proof
from mesh.control.record import Record
from mesh.control.resources import endpoints
from mesh.control.selection import Judge, Selection
from mesh.control.server import Discovery
from mesh.control.site import SITE
from mesh.control.slices import Assembled
from mesh.control.succession import Succession

WATCH_S = 0.2
KEYS_FIRST_S = 0.1
KEYS_S = 1.0
# How often certificates are looked at: a lifetime of seconds, in tests, wants it often.
RENEW_S, RENEW_SHARE = 1.0, 0.02
_SELF, _SLICES, _NO_CHANGES = "control", "slices", b"{}"
# What an input that cannot be followed is found out by.
_UNFIT = (ValueError, KeyError, TypeError, OSError, DecodeError)
_log = structlog.get_logger("mesh.control")


class Plane:
    """Keeps the published configuration equal to its inputs."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        discovery: Discovery,
        judge: Judge | None = None,
    ) -> None:
        """Decides what a start serves; `judge` is a real Envoy unless another is given.

        Raises:
            ValueError: nothing of the contract can be served.
        """
        self._settings = settings
        self._kept: dict[str, tuple[Identity, bytes]] = {}
        self._record = record
        self._discovery = discovery
        self._authorities = Succession(settings.mesh, utc_now())
        self._names = site.own_names(settings.edge_host)
        self._site = site.open_site(settings.mesh, self._names, utc_now()) if settings.tls else None
        self._life = Life(timedelta(seconds=settings.certificate_s), settings.certificate_grace)
        self._files: dict[Watched, Callable[[bytes | None], None]] = {
            Watched(settings.contract): self._take_contract,
            Watched(settings.mesh / "endpoints.json"): self._take_endpoints,
            Watched(settings.mesh / "overrides.json"): self._take_overrides,
            Watched(settings.mesh / "traffic.json"): self._take_traffic,
        }
        self._traffic = traffic.USUAL
        self._drawings = _drawings(with_clients=bool(settings.direct_port))
        beside = self._beside()
        self._choice = Choice(
            settings.mesh / "slices.json",
            settings.contract.read_bytes(),
            _readable(settings.mesh / "overrides.json"),
            judge or by_envoy(lambda assembled: _with(beside, assembled)),
        )
        self._inputs = _with(beside, self._choice.served.assembled)

    def start(self) -> None:
        """Publishes what there is.

        Raises:
            ValueError: the contract cannot be served at all.
        """
        self._publish(self._inputs)
        self._record.selected(self._choice.served)
        self.look()

    def look(self) -> None:
        """Takes in the files that changed, each for itself."""
        for watched, take in self._files.items():
            if not watched.changed():
                continue
            name = watched.path.name
            try:
                take(watched.read())
            except _UNFIT as error:
                self._refuse(name, error)
            else:
                self._record.mended(_SELF, name)
        if self._choice.waiting.is_set():
            self._record.asked()
        self._let_expire(utc_now())

    def _let_expire(self, now: datetime) -> None:
        """Faults end at their instant, whoever asked for them and wherever he is now."""
        holding = self._traffic.at(now.timestamp())
        if holding != self._inputs.traffic:
            _log.info("traffic", faults=len(holding.faults), steered=list(holding.steering))
            try:
                self._publish(dataclasses.replace(self._inputs, traffic=holding))
            except _UNFIT as error:
                self._refuse("traffic.json", error)

    def decide(self) -> None:
        """Serves what is asked for, slice by slice; asks the judge, which takes its time."""
        self._choice.waiting.clear()
        try:
            self._serve(self._choice.decide())
        except _UNFIT as error:
            self._cannot_decide(error)

    def heed_proxies(self) -> None:
        """Goes back where a proxy refused a slice; remembers what all of them took."""
        refused = self._record.refusals_of_slices()
        if refused and (selection := self._choice.fall_back("\n".join(refused))):
            _log.error("slices fall back", refused=list(selection.refused))
            self._serve(selection)
        elif self._record.ready():
            self._choice.taken()

    async def watch_slices(self) -> None:
        """Decides whenever a slice changed, for ever."""
        while True:
            await self._choice.waiting.wait()
            self._choice.waiting.clear()
            before = self._choice.served
            try:
                selection = await asyncio.to_thread(self._choice.decide)
                if self._choice.served is before:
                    self._serve(selection)
                else:
                    # A proxy's refusal came between.
                    self._choice.waiting.set()
            except _UNFIT as error:
                self._cannot_decide(error)

    def _serve(self, selection: Selection) -> None:
        if selection.whole != self._choice.served.whole:
            self._publish(_with(self._inputs, selection.assembled))
        self._choice.served = selection
        self._record.selected(selection)
        self._record.mended(_SELF, _SLICES)

    def _cannot_decide(self, error: Exception) -> None:
        self._refuse(_SLICES, error)
        self._record.decided()

    def _refuse(self, name: str, error: Exception) -> None:
        _log.error("refused", input=name, error=str(error))
        self._record.refused(_SELF, name, "", str(error))

    async def watch_files(self) -> None:
        """Looks at the files, for ever."""
        while True:
            await asyncio.sleep(WATCH_S)
            self.look()
            self.heed_proxies()

    async def watch_keys(self) -> None:
        """Asks identity for the token keys, for ever; what it said last holds."""
        channel, certificate, wait_s = None, None, KEYS_FIRST_S
        while True:
            own = self._inputs.identities[catalog.CONTROL]
            if channel is None or certificate is not own:
                if channel:
                    await channel.close(None)
                channel = keys.channel(self._settings.run, own, self._inputs.ca_pem)
                certificate = own
            try:
                self._take_keys(await keys.fetch(channel))
                wait_s = KEYS_S
            except grpc.aio.AioRpcError as error:
                _log.debug("keys not fetched", code=error.code().name, error=error.details())
            except keys.KeySetError as error:
                self._record.refused(_SELF, "keys", "", str(error))
            await asyncio.sleep(wait_s)

    async def watch_certificates(self) -> None:
        """Renews the certificates before they end, for ever."""
        while True:
            await asyncio.sleep(min(RENEW_S, RENEW_SHARE * self._settings.certificate_s))
            self.renew(utc_now())

    def renew(self, now: datetime) -> None:
        """Issues anew what has only its grace left, or is another authority's."""
        signer, trusted = self._authorities.signer, self._inputs.ca_pem
        if self._authorities.step(
            now, everybody_knows=self._record.ready(), leaf_lifetime=self._life.lifetime
        ):
            trusted = self._authorities.trusted_pem
        everybody = self._authorities.signer is not signer
        due = [n for n, each in self._inputs.identities.items() if everybody or each.due(now)]
        if due or trusted != self._inputs.ca_pem:
            _log.info("certificates renewed", workloads=due)
            identities = {**self._inputs.identities, **self._issue(now, *due)}
            self._publish(dataclasses.replace(self._inputs, identities=identities, ca_pem=trusted))

    def _take_keys(self, fetched: keys.KeySet) -> None:
        self._record.mended(_SELF, "keys")
        jwks = fetched.jwks()
        if jwks != self._inputs.jwks:
            _log.info("token keys", key_ids=fetched.key_ids)
            keys.save(self._settings.mesh / "keys.json", fetched)
            self._publish(dataclasses.replace(self._inputs, jwks=jwks))
        self._record.keys(fetched.key_ids)

    def _publish(self, inputs: Inputs) -> None:
        """Makes, checks and publishes; keeps the old inputs where the new do not fit."""
        self._record.publish({name: each.draw(inputs) for name, each in self._drawings.items()})
        self._keep_clients(inputs)
        self._inputs = inputs
        self._discovery.changed()

    def _keep_clients(self, inputs: Inputs) -> None:
        """Renews the files of the workloads that hold their certificate themselves."""
        for workload in clients.WORKLOADS if inputs.direct_port else ():
            own = inputs.identities[workload]
            if self._kept.get(workload) != (own, inputs.ca_pem):
                clients.keep_files(self._settings.mesh, inputs.run, own, inputs.ca_pem)
                self._kept[workload] = own, inputs.ca_pem

    def _beside(self) -> Inputs:
        """All that there is at a start but for the contract."""
        settings, now = self._settings, utc_now()
        known = keys.saved(settings.mesh / "keys.json")
        if known:
            self._record.keys(known.key_ids)
        workloads = [catalog.EDGE, catalog.CONTROL, *clients.WORKLOADS]
        workloads += [*(each.name for each in catalog.SERVICES)]
        workloads += [SITE] if settings.tls else []
        return Inputs(
            run=settings.run,
            edge_host=settings.edge_host,
            edge_port=settings.edge_port,
            proof=open_proof(settings.mesh),
            contract=policy.Contract({}, {}),
            descriptor_set=b"",
            ca_pem=self._authorities.trusted_pem,
            identities=self._issue(now, *workloads),
            endpoints=endpoints.parse("{}"),
            overrides=overrides.Overrides(),
            jwks=(known or keys.nobody()).jwks(),
            connection_age_s=settings.connection_age_s,
            origins=settings.origins,
            trusted_hops=settings.trusted_hops,
            limiter_timeout_s=settings.limiter_timeout_s,
            tls=settings.tls,
            own=settings.own,
            direct_port=settings.direct_port,
        )

    def _issue(self, now: datetime, *workloads: str) -> dict[str, Identity]:
        signer, life = self._authorities.signer, self._life
        issued = {each: signer.issue(each, now, life) for each in workloads if each != SITE}
        if self._site is not None and SITE in workloads:
            issued[SITE] = site.issue(self._site, self._names, now, life)
        return issued

    def _take_contract(self, content: bytes | None) -> None:
        if content is None:
            raise ValueError("the contract's descriptor set is gone; the last one holds")
        self._choice.want_contract(content)

    def _take_endpoints(self, content: bytes | None) -> None:
        parsed = endpoints.parse(content if content is not None else b"{}")
        if parsed != self._inputs.endpoints:
            self._publish(dataclasses.replace(self._inputs, endpoints=parsed))

    def _take_traffic(self, content: bytes | None) -> None:
        self._traffic = traffic.parse(content if content is not None else _NO_CHANGES)

    def _take_overrides(self, content: bytes | None) -> None:
        self._choice.want_changes(content if content is not None else _NO_CHANGES)


def _drawings(*, with_clients: bool) -> dict[str, Drawing]:
    makers = {render.EDGE: render.OF_EDGE, render.NODE: render.OF_NODE}
    for workload in clients.WORKLOADS if with_clients else ():
        makers[clients.proxy_name(workload)] = render.of_client(workload)
    return {proxy: Drawing(proxy, each) for proxy, each in makers.items()}


def _with(inputs: Inputs, assembled: Assembled) -> Inputs:
    return dataclasses.replace(
        inputs,
        contract=assembled.contract,
        descriptor_set=assembled.descriptor_set,
        overrides=assembled.overrides,
    )


def _readable(path: Path) -> bytes:
    """What a file says; nothing where it cannot be followed, which is said later."""
    try:
        content = path.read_bytes()
        slices.split(b"", content)
    except (OSError, ValueError):
        return _NO_CHANGES
    return content
