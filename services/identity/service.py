"""Identity, composed: what it serves and runs, and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from mesh.runtime import Host, Job, Parts, Service
from mesh.runtime.clock import now
from mesh.runtime.contract import grantable_scopes, roles, scopes
from mesh.runtime.personkeys import PersonKeys
from mesh.runtime.relations.feeds import BEAT_EVERY_S
from mesh.runtime.sealing import Sealer
from mesh.runtime.settings import SettingsError
from mesh.runtime.subjects.peers import Peers
from mesh.runtime.subjects.tombstones import Tombstones
from mesh.runtime.tokens import ISSUER
from services.identity.addresses.flow import AddressFlow
from services.identity.addresses.rpc import AddressRpc
from services.identity.addresses.store import AddressStore
from services.identity.auth.flow import AuthFlow
from services.identity.auth.passwords import Passwords
from services.identity.auth.recovery import RecoveryFlow
from services.identity.auth.rpc import AuthRpc
from services.identity.auth.rules import regions_of
from services.identity.auth.signin import SignIn
from services.identity.auth.store import AuthStore
from services.identity.auth.strength import Strength
from services.identity.blocks.flow import BlockFlow
from services.identity.blocks.store import BlockStore
from services.identity.certificates.signing import Signer
from services.identity.certificates.store import CertificateKeyStore
from services.identity.clients.flow import ClientFlow
from services.identity.clients.rpc import AppRpc, ServiceAccountRpc
from services.identity.clients.store import ClientStore
from services.identity.codes.store import CodeStore
from services.identity.consents import documents
from services.identity.consents.flow import ConsentFlow
from services.identity.consents.rpc import ConsentRpc
from services.identity.consents.store import ConsentStore
from services.identity.erasures.certificates import Certifier
from services.identity.erasures.flow import ErasureFlow
from services.identity.erasures.rpc import ErasureRpc
from services.identity.erasures.store import ErasureStore
from services.identity.exports.flow import ExportFlow
from services.identity.exports.rpc import ExportRpc
from services.identity.exports.store import ExportStore
from services.identity.factors.flow import FactorFlow
from services.identity.factors.passkeys import RelyingParty
from services.identity.factors.proofs import Proofs
from services.identity.factors.rpc import FactorRpc, SecondStepRpc
from services.identity.factors.second_step import SecondStep
from services.identity.factors.step_up import StepUp
from services.identity.factors.store import FactorStore
from services.identity.goals.flow import GoalFlow
from services.identity.goals.rpc import GoalRpc
from services.identity.goals.store import GoalStore
from services.identity.keys.flow import KeyRing
from services.identity.keys.keeper import Keeper, store_of
from services.identity.keys.rpc import KeyRpc
from services.identity.keys.rules import Schedule
from services.identity.keys.settings import schedule_of
from services.identity.letters.flow import LetterFlow
from services.identity.letters.senders import Mailbox
from services.identity.letters.store import LetterStore
from services.identity.letters.waking import Waking
from services.identity.oauth.ending import Ending
from services.identity.oauth.flow import OAuthFlow
from services.identity.oauth.introspection import Introspection
from services.identity.oauth.openid import OpenIdFlow
from services.identity.oauth.rpc import GrantRpc, OAuthRpc
from services.identity.oauth.store import OAuthStore
from services.identity.oauth.tokens import TokenFlow
from services.identity.oauth.veil import Veil
from services.identity.personkeys.flow import PersonKeyFlow
from services.identity.personkeys.rpc import PersonKeyRpc
from services.identity.personkeys.store import PersonKeyStore
from services.identity.profiles.avatars import AvatarFlow
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.pictures import Pictures
from services.identity.profiles.rpc import ProfileRpc
from services.identity.profiles.store import ProfileStore
from services.identity.relations.flow import RelationFlow
from services.identity.relations.rpc import RelationRpc
from services.identity.relations.store import RelationStore
from services.identity.revocations.flow import Board
from services.identity.revocations.rpc import RevocationRpc
from services.identity.revocations.store import RevocationStore
from services.identity.roles.flow import RoleFlow
from services.identity.roles.rpc import RoleRpc
from services.identity.roles.store import RoleStore
from services.identity.sessions.chains import Chains
from services.identity.sessions.flow import SessionFlow
from services.identity.sessions.places import Places
from services.identity.sessions.rpc import SessionRpc
from services.identity.sessions.store import SessionStore
from services.identity.settings.flow import SettingsFlow
from services.identity.settings.rpc import SettingsRpc
from services.identity.settings.store import SettingsStore
from services.identity.sso.flow import SsoFlow
from services.identity.sso.opening import ShopOpening
from services.identity.sso.rpc import SsoRpc
from services.identity.sso.settings import provider_of
from services.identity.sso.store import SsoStore
from services.identity.subjects import FILES, IMPERSONAL, SUBJECTS, TABLES
from services.identity.throttle.counts import Counts
from services.identity.throttle.flow import Throttle
from services.identity.visibility.rpc import VisibilityRpc
from services.identity.zones.flow import ZoneFlow
from services.identity.zones.rpc import ZoneRpc
from services.identity.zones.store import ZoneStore


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """What identity is told beside the common settings."""

    access_token_s: int = 900
    """How long an access token lives."""
    least_age_years: int = 16
    """Who says that he is younger is refused."""
    mailbox: Path | None = None
    """The folder that letters go to on one machine; nowhere without it."""
    regions: str = ""
    """Where people of a country have their home, `RU=1,BY=1,*=0`; all here where it is empty."""
    breached_passwords: Path | None = None
    """A file of SHA-1 hashes, sorted, a line each, as haveibeenpwned.com gives it."""
    places: Path | None = None
    """A file of MaxMind's format, by which sessions tell where they were used; none without."""
    erasure_grace_days: float = 14.0
    """Between asking to be erased and being erased."""
    passkey_domain: str = "localhost"
    """What passkeys are bound to (WebAuthn's RP ID); a change makes all of them useless."""
    passkey_origins: str = ""
    """Of the pages and apps that may ask for them, with commas between; the site where empty."""
    signing_key_s: float = 604_800.0
    """How long a key signs access tokens before the next one does."""
    signing_key_ahead_s: float = 3600.0
    """How long at least a key that is turned to has been published."""
    signing_key_after_s: float = 3600.0
    """How long a key stays published when another signs; no less than tokens live."""
    consents_at_sign_up: bool = False
    """Whether nobody signs up who does not agree to all that is needed; else it can be asked at
    once after."""
    sso_issuer: str = ""
    """The shop's OpenID Connect server, as its tokens name it; nobody signs in with it where
    it is empty."""
    sso_client_id: str = ""
    """What we call ourselves there."""
    sso_secret_file: Path | None = None
    """Holds what we prove it with."""
    sso_redirect_uris: str = ""
    """Where apps may have people sent back to, parted by spaces; the site's own page beside."""
    sso_data_in_shop: bool = True
    """Whether names stay in the shop: then nothing of a person is kept here but his number."""

    def signing_schedule(self) -> Schedule:
        """When which key signs.

        Raises:
            SettingsError: so that tokens would be refused.
        """
        return schedule_of(
            self.signing_key_s,
            self.signing_key_ahead_s,
            self.signing_key_after_s,
            self.access_token_s,
        )


def compose(host: Host) -> Parts:
    """Joins identity's capabilities."""
    own: IdentitySettings = host.own
    sealer = _sealer(host)
    schedule = own.signing_schedule()
    keeper = Keeper(store_of(host.database, sealer), sealer, now, schedule)
    keys = KeyRing(keeper)
    host.revocations.listeners.append(keys.heard)
    board = Board(
        RevocationStore(host.database, host.settings.service), host.revocations, now, host.stopping
    )
    sealer = _sealer(host)
    sessions = SessionFlow(
        store=SessionStore(host.database),
        keys=keys,
        scopes=scopes(),
        access_token_s=own.access_token_s,
        clock=now,
        chains=Chains(sealer),
    )
    store, passwords = AuthStore(host.database), Passwords()
    strength = Strength(_breached(own))
    throttle = Throttle(Counts(host.redis), sealer, now)
    codes = CodeStore(host.database)
    addresses = AddressFlow(AddressStore(host.database), codes, sealer, now)
    factor_store = FactorStore(host.database)
    relying_party = RelyingParty(own.passkey_domain, _origins(host))
    granted = RoleFlow(RoleStore(host.database), roles(), own.access_token_s, now)
    blocks = BlockFlow(BlockStore(host.database), own.access_token_s, now)
    factors = FactorFlow(
        factor_store, sealer, relying_party, granted.is_staff, own.access_token_s, now
    )
    proofs = Proofs(factor_store, sealer, relying_party)
    sso_store = SsoStore(host.database)
    from_shop = ShopOpening(sso_store, sessions, now)
    second_step = SecondStep(factor_store, proofs, sessions, sealer, now, from_shop)
    signer = Signer(CertificateKeyStore(host.database), sealer, now)
    consents = ConsentFlow(
        store=ConsentStore(host.database),
        catalogue=documents.read(),
        signer=signer,
        regions=_regions(own),
        region=host.settings.region,
        clock=now,
    )
    auth = AuthFlow(
        store=store,
        passwords=passwords,
        strength=strength,
        throttle=throttle,
        sign_in=SignIn(sessions, second_step),
        region=host.settings.region,
        regions=_regions(own),
        consents=consents,
        whole_consents=own.consents_at_sign_up,
        clock=now,
    )
    oauth_store = OAuthStore(host.database)
    issuer = host.settings.blobs_site or ISSUER
    clients = ClientFlow(
        store=ClientStore(host.database),
        app_scopes=frozenset(each.name for each in grantable_scopes()),
        all_scopes=scopes(),
        audiences=frozenset({issuer, f"{issuer}/oauth2/token"}),
        is_reachable=addresses.is_reachable,
        on_change=Ending(oauth_store, sessions, now),
        clock=now,
    )
    veil = Veil(sealer)
    profile_store = ProfileStore(host.database)
    relations = RelationFlow(RelationStore(host.database), now)
    profiles = ProfileFlow(profile_store, relations, now, own.least_age_years)
    oauth = OAuthFlow(oauth_store, clients, sessions, issuer, veil, now)
    openid = OpenIdFlow(
        clients=clients,
        keys=keys,
        veil=veil,
        verify=host.verifier.verify,
        name_of=profiles.shown_name,
        email_of=addresses.proved_email,
        issuer=issuer,
        clock=now,
    )
    oauth_tokens = TokenFlow(
        store=oauth_store,
        clients=clients,
        sessions=sessions,
        keys=keys,
        region=host.settings.region,
        verify=host.verifier.verify,
        veil=veil,
        openid=openid,
        clock=now,
    )
    recovery = RecoveryFlow(
        store,
        codes,
        passwords,
        strength,
        throttle,
        sessions,
        sealer,
        now,
        # What somebody set up who never had the address must not keep its owner out.
        taken_over=(factor_store.lose_all,),
    )
    mailbox = Mailbox(own.mailbox) if own.mailbox else None
    letters = LetterFlow(LetterStore(host.database), codes, mailbox, sealer, now)
    sso = SsoFlow(
        store=sso_store,
        provider=provider_of(own.sso_issuer, own.sso_client_id, own.sso_secret_file),
        sessions=sessions,
        sign_in=SignIn(sessions, second_step),
        opening=from_shop,
        sealer=sealer,
        has_account=auth.has_account,
        redirect_uris=(f"{issuer}/sso/callback", *own.sso_redirect_uris.split()),
        data_in_shop=own.sso_data_in_shop,
        region=host.settings.region,
        clock=now,
    )
    person_keys = PersonKeyFlow(PersonKeyStore(host.database), sealer, now)
    peers = Peers(host.mesh, "identity", SERVICE.kept(host.database, host.blobs))
    archive_keys = PersonKeys(person_keys.fetch)
    exports = ExportFlow(ExportStore(host.database), peers, host.blobs, archive_keys, now)
    erasure_store = ErasureStore(host.database)
    erasures = ErasureFlow(
        store=erasure_store,
        peers=peers,
        sessions=sessions,
        letters=letters,
        tombstones=Tombstones(host.blobs.objects, "identity", sealer),
        keys=archive_keys,
        certifier=Certifier(signer, now),
        sealer=sealer,
        grace=timedelta(days=own.erasure_grace_days),
        clock=now,
    )
    avatars = AvatarFlow(profile_store, host.blobs, Pictures(), now)
    zones = ZoneFlow(ZoneStore(host.database), now)
    goals = GoalFlow(GoalStore(host.database), profiles, now)
    return Parts(
        servicers=[
            KeyRpc(keys),
            RevocationRpc(board),
            SessionRpc(sessions, Places(own.places)),
            ProfileRpc(profiles, avatars),
            RelationRpc(relations),
            VisibilityRpc(relations),
            AppRpc(clients),
            ServiceAccountRpc(clients),
            OAuthRpc(
                oauth,
                oauth_tokens,
                auth,
                second_step,
                Introspection(clients, sessions, veil, host.verifier.verify, now),
                sso=bool(own.sso_issuer),
            ),
            SsoRpc(sso, oauth),
            GrantRpc(oauth),
            PersonKeyRpc(person_keys),
            ExportRpc(exports),
            GoalRpc(goals),
            AuthRpc(auth, recovery, sessions),
            AddressRpc(addresses),
            ErasureRpc(erasures),
            ConsentRpc(consents),
            SettingsRpc(SettingsFlow(SettingsStore(host.database), now)),
            ZoneRpc(zones),
            RoleRpc(granted, blocks),
            FactorRpc(factors),
            SecondStepRpc(
                second_step,
                StepUp(factor_store, second_step, sessions, recovery.knows),
                throttle.device_token,
            ),
        ],
        jobs=[
            Job("make exports", 2, exports.turn),
            Job("erase people", 5, erasures.turn),
            Job("keep erased", 3600, erasures.reconcile),
            Job("turn signing keys", min(60, schedule.ahead.total_seconds() / 2), keeper.tend),
            Job("forget revocations", 60, board.forget),
            Job("sweep avatars", 60, avatars.sweep),
            Job("beat relations", BEAT_EVERY_S, relations.beat),
            Job("forget relations", 3600, relations.forget),
            Job("end clients", 5, clients.finish),
            Job("forget client assertions", 60, clients.forget),
            Job("forget codes and browsers", 60, oauth.forget),
            Job("forget goals", 3600, goals.forget),
            Job("tidy letters", 3600, letters.tidy),
            *([Job("tidy mailbox", 3600, mailbox.tidy)] if mailbox else []),
            Job("tidy addresses", 3600, addresses.tidy),
            Job("forget privacy zones", 3600, zones.forget),
            Job("tidy second factors", 60, factors.tidy),
            Job("forget shop sign-ins", 60, sso.forget),
            Job("end roles", 2, granted.expire),
            Job("settle blocks", 2, blocks.settle),
        ],
        loops=[partial(letters.run, Waking(host.settings.database_url))],
        before=[erasures.keep_erased],
        keys=keys.public_keys,
        revocations=board.keep,
    )


def _sealer(host: Host) -> Sealer:
    if host.sealer is None:
        raise SettingsError("PALESTRA_SEAL_KEYS_FILE is not set: identity keeps sealed secrets")
    return host.sealer


def _origins(host: Host) -> list[str]:
    told = host.own.passkey_origins or host.settings.blobs_site
    return [each.strip().rstrip("/") for each in told.split(",") if each.strip()]


def _breached(own: IdentitySettings) -> Path | None:
    found = own.breached_passwords
    if found is not None and not (found.is_file() and found.stat().st_size):
        raise SettingsError(f"PALESTRA_IDENTITY_BREACHED_PASSWORDS: {found} holds no hashes")
    return found


def _regions(own: IdentitySettings) -> dict[str, int]:
    try:
        return regions_of(own.regions)
    except ValueError as error:
        raise SettingsError(f"PALESTRA_IDENTITY_REGIONS: {error}") from None


SERVICE = Service(
    "identity",
    compose,
    IdentitySettings,
    subjects=SUBJECTS,
    files=FILES,
    impersonal=IMPERSONAL,
    tables=TABLES,
)
