"""Passkeys: WebAuthn's ceremonies, checked by py_webauthn, which is imported when first used.

Owns what is asked of authenticators. Never keeps a challenge: it travels in a ticket.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from services.identity.factors.rules import PasskeyRefused, SecondFactorWrong

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

CHALLENGE_BYTES = 32
TIMEOUT_MS = 300_000
MOST_TRANSPORTS = 8


@dataclass(frozen=True, slots=True)
class Passkey:
    """A credential as it is stored."""

    passkey_id: uuid.UUID
    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    """COSE."""
    sign_count: int
    is_synced: bool
    """Whether it may leave its device."""
    transports: list[str]
    display_name: str
    created_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature has proved."""

    passkey_id: uuid.UUID
    sign_count: int
    is_verified: bool
    """Whether the authenticator knew its person: by finger, face or PIN."""
    is_synced: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A signature that nobody has checked: whose it says it is."""

    credential_id: bytes
    user_handle: bytes


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: the site that passkeys are bound to."""

    rp_id: str
    """Its domain."""
    origins: Sequence[str]
    """The pages and apps that may ask."""

    def creation_options(
        self, user_id: uuid.UUID, account: str, challenge: bytes, held: Sequence[Passkey]
    ) -> str:
        """PublicKeyCredentialCreationOptionsJSON."""
        import webauthn
        from webauthn.helpers import structs

        options = webauthn.generate_registration_options(
            rp_id=self.rp_id,
            rp_name="Palestra",
            user_id=user_id.bytes,
            user_name=account,
            user_display_name=account,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            attestation=structs.AttestationConveyancePreference.NONE,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[_descriptor(each) for each in held],
        )
        return webauthn.options_to_json(options)

    def request_options(self, challenge: bytes, held: Sequence[Passkey], *, alone: bool) -> str:
        """PublicKeyCredentialRequestOptionsJSON.

        `alone`: the passkey is the sole proof, so the authenticator must know its person.
        """
        import webauthn
        from webauthn.helpers import structs

        asked = structs.UserVerificationRequirement
        options = webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            allow_credentials=[_descriptor(each) for each in held],
            user_verification=asked.REQUIRED if alone else asked.PREFERRED,
        )
        return webauthn.options_to_json(options)

    def registered(
        self, credential: str, challenge: bytes, passkey_id: uuid.UUID, name: str, now: datetime
    ) -> Passkey:
        """The passkey of a RegistrationResponseJSON.

        Raises:
            PasskeyRefused
        """
        import webauthn
        from webauthn.helpers import exceptions, parse_registration_credential_json

        try:
            parsed = parse_registration_credential_json(credential)
            made = webauthn.verify_registration_response(
                credential=parsed,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=list(self.origins),
            )
        # The library lets what its parsers meet through as it came.
        except (exceptions.WebAuthnException, ValueError, LookupError, TypeError):
            raise PasskeyRefused from None
        told = parsed.response.transports or []
        return Passkey(
            passkey_id=passkey_id,
            credential_id=made.credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            is_synced=made.credential_device_type == "multi_device",
            transports=[each.value for each in told[:MOST_TRANSPORTS]],
            display_name=name,
            created_at=now,
        )

    def shown(self, credential: str) -> Shown:
        """Whose an AuthenticationResponseJSON says it is.

        Raises:
            SecondFactorWrong: it is none.
        """
        from webauthn.helpers import exceptions, parse_authentication_credential_json

        try:
            parsed = parse_authentication_credential_json(credential)
        except (exceptions.WebAuthnException, ValueError, LookupError, TypeError):
            raise SecondFactorWrong from None
        return Shown(parsed.raw_id, parsed.response.user_handle or b"")

    def signed(self, credential: str, challenge: bytes, held: Passkey, *, alone: bool) -> Signed:
        """What an AuthenticationResponseJSON proves of a passkey.

        Raises:
            SecondFactorWrong: nothing; also where the counter went back, as a copy's would.
        """
        import webauthn
        from webauthn.helpers import exceptions

        try:
            done = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=list(self.origins),
                credential_public_key=held.public_key,
                credential_current_sign_count=held.sign_count,
                require_user_verification=alone,
            )
        except (exceptions.WebAuthnException, ValueError, LookupError, TypeError):
            raise SecondFactorWrong from None
        return Signed(
            passkey_id=held.passkey_id,
            sign_count=done.new_sign_count,
            is_verified=done.user_verified,
            is_synced=done.credential_device_type == "multi_device",
        )


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    from webauthn.helpers import structs

    known = {each.value for each in structs.AuthenticatorTransport}
    return structs.PublicKeyCredentialDescriptor(
        id=passkey.credential_id,
        transports=[
            structs.AuthenticatorTransport(each) for each in passkey.transports if each in known
        ],
    )
