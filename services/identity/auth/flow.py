"""Use cases of signing up and signing in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError
from mesh.runtime.ids import user_id as new_user_id
from mesh.runtime.ids import uuid7
from services.identity import events
from services.identity.addresses import contacts
from services.identity.addresses.rules import PHONE, Contact
from services.identity.auth import rules
from services.identity.auth.passwords import Passwords
from services.identity.auth.signin import SignIn
from services.identity.auth.store import AuthStore, Found, NewAccount
from services.identity.auth.strength import Strength
from services.identity.codes.rules import Purpose
from services.identity.consents.flow import ConsentFlow
from services.identity.consents.rules import NOTHING_KNOWN, Agreed, Evidence
from services.identity.profiles.rules import clean_display_name
from services.identity.sessions.flow import SignedIn
from services.identity.sessions.rules import NOWHERE, DeviceHint
from services.identity.throttle.flow import Throttle

BY_PASSWORD = frozenset({"pwd"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a try to sign in comes from."""

    network: str = field(default="", repr=False)
    """The network address; empty where nobody knows."""
    device_token: str = field(default="", repr=False)
    """By which a device shows that it has signed in before; empty where it has not."""


UNKNOWN = Origin()


@dataclass(frozen=True, slots=True)
class AuthFlow:
    """Sign-up and sign-in."""

    store: AuthStore
    passwords: Passwords
    strength: Strength
    throttle: Throttle
    sign_in: SignIn
    consents: ConsentFlow
    region: int
    regions: Mapping[str, int]
    """Where people of a country have their home; see `rules.regions_of`."""
    clock: Clock
    whole_consents: bool = False
    """Whether nobody signs up who does not agree to all that is needed."""

    async def register(
        self,
        email: str,
        password: str,
        display_name: str,
        device: DeviceHint = NOWHERE,
        *,
        phone: str = "",
        language: str = "",
        country: str = "",
        origin: Origin = UNKNOWN,
        agreed: Sequence[Agreed] = (),
        by: Evidence = NOTHING_KNOWN,
    ) -> SignedIn:
        """Makes an account and signs it in; with the same password again, signs in.

        Raises:
            EmailInvalid, PhoneInvalid, PasswordWeak, DisplayNameInvalid, HomeRegionElsewhere
            ConsentTextUnknown, ConsentOutdated, ConsentMissing
            EmailTaken, PhoneTaken: it has an account, and the password is not its.
            SignInThrottled: that was tried too often.
        """
        rules.check_region(country, self.regions, self.region)
        contact = contacts.told(email, phone, country)
        name = clean_display_name(display_name)
        rules.check_password(password, contact.address, name)
        keep = self.consents.signing_up(agreed, country, by, whole=self.whole_consents)
        if await self.store.found(contact.key) is not None:
            return await self._sign_in_again(contact, password, device, origin)
        await self.passwords.judge(
            self.strength.check, password, [contact.address, *contact.address.split("@"), name]
        )
        account = NewAccount(
            user_id=new_user_id(self.region),
            address_id=uuid7(),
            contact=contact,
            password_hash=await self.passwords.hash(password),
            display_name=name,
            language=language,
            country=country,
            created_at=self.clock(),
        )
        try:
            event = events.user_registered(account.user_id, name)
            await self.store.register(account, event, keep)
        except (rules.EmailTaken, rules.PhoneTaken):
            return await self._sign_in_again(contact, password, device, origin)
        return await self.sign_in.proceed(account.user_id, BY_PASSWORD, device)

    async def _sign_in_again(
        self, contact: Contact, password: str, device: DeviceHint, origin: Origin
    ) -> SignedIn:
        # The repeat of a registration whose answer was lost, or that died before its session.
        try:
            return await self._login(contact, password, device, origin)
        except rules.CredentialsWrong:
            raise (rules.PhoneTaken if contact.channel == PHONE else rules.EmailTaken) from None

    async def has_account(self, email: str) -> bool:
        """Whether an address is verified to be somebody's."""
        try:
            found = await self.store.found(contacts.sought(email, "").key)
        except rules.EmailInvalid:
            return False
        return found is not None and found.is_verified

    async def login(
        self,
        email: str,
        password: str,
        device: DeviceHint = NOWHERE,
        *,
        phone: str = "",
        origin: Origin = UNKNOWN,
    ) -> SignedIn:
        """Signs in.

        Raises:
            CredentialsWrong: whether or not there is such an account, after the same work.
            SignInThrottled: too many were; likewise.
        """
        return await self._login(contacts.sought(email, phone), password, device, origin)

    async def _login(
        self, contact: Contact, password: str, device: DeviceHint, origin: Origin
    ) -> SignedIn:
        found = await self.store.found(contact.key)
        tried = None
        try:
            async with self.throttle.one_try(
                contact.key,
                origin.network,
                found.user_id if found else None,
                origin.device_token,
            ) as tried:
                verified = await self.passwords.verify(
                    found.password_hash if found else None, password
                )
                if found is None or not verified.matches:
                    tried.failed()
                    raise rules.CredentialsWrong
                tried.succeeded()
        finally:
            if tried is not None and tried.is_to_be_told:
                await self.store.ask_code(contact.key, Purpose.UNLOCK_ACCOUNT, self.clock())
        if verified.is_stale:
            await self._rehash(found, password)
        return await self.sign_in.proceed(found.user_id, BY_PASSWORD, device)

    async def _rehash(self, found: Found, password: str) -> None:
        try:
            await self.store.rehash(found, await self.passwords.hash(password))
        except MeshError:
            # Overloaded: the next sign-in finds it as it was.
            return
