"""Use cases of a person's addresses: added by a code to the new one, told of to the old one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer
from services.identity.addresses import contacts, rules
from services.identity.addresses.rules import Address, State
from services.identity.addresses.store import AddressStore
from services.identity.codes import rules as codes
from services.identity.codes.store import CodeStore, values_of
from services.identity.letters.rules import Kind, Letter

REMOVED_KEPT = codes.FORGOTTEN_AFTER


@dataclass(frozen=True, slots=True)
class AddressFlow:
    """What a person does with his own addresses."""

    store: AddressStore
    codes: CodeStore
    sealer: Sealer
    clock: Clock

    async def all(self, user_id: uuid.UUID) -> list[Address]:
        """A person's addresses."""
        return await self.store.all(user_id)

    async def proved_email(self, user_id: uuid.UUID) -> str:
        """The verified e-mail address that a person's letters go to; empty without one."""
        proved = [
            each
            for each in await self.store.all(user_id)
            if each.channel == rules.EMAIL and each.state is State.VERIFIED
        ]
        # The primary one first, else the oldest.
        proved.sort(key=lambda each: not each.is_primary)
        return proved[0].address if proved else ""

    async def is_reachable(self, user_id: uuid.UUID) -> bool:
        """Whether the person has proved an address."""
        return any(each.state is State.VERIFIED for each in await self.store.all(user_id))

    async def add(self, user_id: uuid.UUID, email: str, phone: str) -> Address:
        """Wishes for an address more, to which a code goes; whose it is now is not told.

        Raises:
            EmailInvalid, PhoneInvalid, TooManyAddresses
        """
        contact = contacts.told(email, phone)
        return await self.store.add(user_id, uuid7(), contact, self.clock())

    async def send_code(self, user_id: uuid.UUID, address_id: uuid.UUID) -> None:
        """A code to an address that is not verified; none where one went a moment ago.

        Raises:
            AddressNotFound
        """
        rules.one_of(await self.store.all(user_id), address_id)
        await self.store.ask_code(user_id, address_id, self.clock())

    async def verify(self, user_id: uuid.UUID, address_id: uuid.UUID, code: str) -> Address:
        """Proves an address by the code that went there; a verified one stays so.

        Raises:
            AddressNotFound, CodeWrong, AddressTaken
        """
        addresses = await self.store.all(user_id)
        address = rules.one_of(addresses, address_id)
        if address.state is State.VERIFIED:
            return address
        now = self.clock()
        shown = self._shown(address, codes.cleaned(code))
        guess = await self.codes.guess(shown)
        if not guess.is_right:
            raise codes.CodeWrong
        primary = next((each for each in addresses if each.is_primary), address)
        notice = None
        if primary.state is State.VERIFIED:
            notice = Letter(Kind.ADDRESS_ADDED, user_id, primary.address_id)
        await self.store.verify(address, shown, notice, now)
        after = rules.one_of(await self.store.all(user_id), address_id)
        if after.state is not State.VERIFIED:
            raise codes.CodeWrong
        return after

    async def make_primary(self, user_id: uuid.UUID, address_id: uuid.UUID) -> Address:
        """Makes a verified address the one that letters go to; the former is told.

        Raises:
            AddressNotFound, AddressNotVerified
        """
        addresses = await self.store.all(user_id)
        address = rules.one_of(addresses, address_id)
        rules.check_primary(address)
        former = next((each for each in addresses if each.is_primary), address)
        if former is not address:
            notice = Letter(Kind.PRIMARY_CHANGED, user_id, former.address_id)
            await self.store.make_primary(address, notice, self.clock())
        return rules.one_of(await self.store.all(user_id), address_id)

    async def remove(self, user_id: uuid.UUID, address_id: uuid.UUID) -> None:
        """Removes an address, and tells it so where it was proved; one that is gone stays gone.

        Raises:
            AddressNeeded
        """
        addresses = await self.store.all(user_id)
        if all(each.address_id != address_id for each in addresses):
            return
        address = rules.one_of(addresses, address_id)
        notice = None
        if address.state is State.VERIFIED:
            notice = Letter(Kind.ADDRESS_REMOVED, user_id, address_id)
        await self.store.remove(address, rules.check_removal, notice, self.clock())

    async def tidy(self) -> None:
        """Forgets removed addresses once nothing goes there any more."""
        await self.store.purge(self.clock() - REMOVED_KEPT)

    def _shown(self, address: Address, code: str) -> dict[str, object]:
        purpose = codes.Purpose.VERIFY_ADDRESS
        place = codes.place_of(address.user_id, purpose, address.address_id)
        hashes = self.sealer.hashes(code.encode(), place)
        return values_of(address.user_id, purpose, address.address_id, hashes, self.clock())
