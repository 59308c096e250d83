"""The control plane at work: inputs change, snapshots are checked and published.

Owns the current inputs. Decides that what does not fit is not published: the
proxies keep what they have, and `control.json` says why.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime

import grpc
import structlog
from google.protobuf.message import DecodeError

from gateway import overrides
from mesh import catalog, policy
from mesh.control import consistency, keys, render, snapshot
from mesh.control.authority import Authority, Identity, open_authority, utc_now
from mesh.control.files import Watched
from mesh.control.inputs import Inputs, Settings
from mesh.control.proof import open_proof
from mesh.control.record import Record
from mesh.control.resources import endpoints
from mesh.control.server import Discovery

WATCH_S = 0.2
KEYS_FIRST_S = 0.1
KEYS_S = 2.0
RENEW_S = 60.0
_SELF = "control"
_log = structlog.get_logger("mesh.control")


class Plane:
    """Keeps the published configuration equal to its inputs."""

    def __init__(self, settings: Settings, record: Record, discovery: Discovery) -> None:
        self._settings = settings
        self._record = record
        self._discovery = discovery
        self._authority = open_authority(settings.mesh, utc_now())
        self._files: dict[Watched, Callable[[bytes | None], Inputs]] = {
            Watched(settings.contract): self._with_contract,
            Watched(settings.mesh / "endpoints.json"): self._with_endpoints,
            Watched(settings.mesh / "overrides.json"): self._with_overrides,
        }
        self._inputs = self._first_inputs()

    def start(self) -> None:
        """Publishes what there is.

        Raises:
            ValueError: the contract cannot be served at all.
        """
        self._publish(self._inputs)
        self.look()

    def look(self) -> None:
        """Takes in the files that changed, each for itself."""
        for watched, taken in self._files.items():
            if not watched.changed():
                continue
            name = watched.path.name
            try:
                wanted = taken(watched.read())
                if wanted != self._inputs:
                    self._publish(wanted)
            except (ValueError, KeyError, TypeError, OSError, DecodeError) as error:
                _log.error("refused", input=name, error=str(error))
                self._record.refused(_SELF, name, "", str(error))
            else:
                self._record.mended(_SELF, name)

    async def watch_files(self) -> None:
        """Looks at the files, for ever."""
        while True:
            await asyncio.sleep(WATCH_S)
            self.look()

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
            await asyncio.sleep(RENEW_S)
            self.renew(utc_now())

    def renew(self, now: datetime) -> None:
        """Issues anew whatever ends within 8 hours, and pushes it."""
        due = [name for name, each in self._inputs.identities.items() if each.due(now)]
        if due:
            _log.info("certificates renewed", workloads=due)
            fresh = _issue(self._authority, now, *due)
            identities = {**self._inputs.identities, **fresh}
            self._publish(dataclasses.replace(self._inputs, identities=identities))

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
        wanted = {render.EDGE: render.edge(inputs), render.NODE: render.node(inputs)}
        for proxy, resources in wanted.items():
            consistency.check(proxy, resources)
        self._record.publish({name: snapshot.take(name, each) for name, each in wanted.items()})
        self._inputs = inputs
        self._discovery.changed()

    def _first_inputs(self) -> Inputs:
        settings, now = self._settings, utc_now()
        known = keys.saved(settings.mesh / "keys.json")
        if known:
            self._record.keys(known.key_ids)
        workloads = [catalog.EDGE, catalog.CONTROL, *(each.name for each in catalog.SERVICES)]
        descriptor_set = settings.contract.read_bytes()
        return Inputs(
            run=settings.run,
            edge_host=settings.edge_host,
            edge_port=settings.edge_port,
            proof=open_proof(settings.mesh),
            contract=policy.contract_of(policy.files_of(descriptor_set)),
            descriptor_set=descriptor_set,
            ca_pem=self._authority.ca_pem,
            identities=_issue(self._authority, now, *workloads),
            endpoints=endpoints.parse("{}"),
            overrides=overrides.Overrides(),
            jwks=(known or keys.nobody()).jwks(),
        )

    def _with_contract(self, content: bytes | None) -> Inputs:
        if content is None:
            raise ValueError("the contract's descriptor set is gone; the last one holds")
        if content == self._inputs.descriptor_set:
            return self._inputs
        contract = policy.contract_of(policy.files_of(content))
        return dataclasses.replace(self._inputs, contract=contract, descriptor_set=content)

    def _with_endpoints(self, content: bytes | None) -> Inputs:
        parsed = endpoints.parse(content if content is not None else b"{}")
        return dataclasses.replace(self._inputs, endpoints=parsed)

    def _with_overrides(self, content: bytes | None) -> Inputs:
        parsed = overrides.parse(content if content is not None else b"{}", self._inputs.contract)
        return dataclasses.replace(self._inputs, overrides=parsed)


def _issue(authority: Authority, now: datetime, *workloads: str) -> dict[str, Identity]:
    return {workload: authority.issue(workload, now) for workload in workloads}
