"""Reads e-mail addresses and phone numbers, however they were typed.

Owns the two libraries that know the forms. Decides nothing about whose an address is, and
asks nobody whether it exists.
"""

from __future__ import annotations

from services.identity.addresses.rules import (
    EMAIL,
    PHONE,
    Contact,
    EmailInvalid,
    PhoneInvalid,
)


def email(text: str) -> Contact:
    """An e-mail address; compared without regard to case or Unicode's ways to write a letter.

    Raises:
        EmailInvalid
    """
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise EmailInvalid(str(error)) from None
    return Contact(EMAIL, found.normalized, found.normalized.casefold())


def phone(text: str, country: str = "") -> Contact:
    """A phone number as E.164; without `+` it is one of `country`, ISO 3166-1 alpha-2.

    Raises:
        PhoneInvalid
    """
    from phonenumbers import (
        NumberParseException,
        PhoneNumberFormat,
        format_number,
        is_valid_number,
        parse,
    )

    try:
        number = parse(text, country or None)
    except NumberParseException as error:
        said = "begin with + and the country's code" if not country else str(error)
        raise PhoneInvalid(said) from None
    if not is_valid_number(number) or number.extension:
        raise PhoneInvalid("nobody can have this number")
    told = format_number(number, PhoneNumberFormat.E164)
    return Contact(PHONE, told, told)


def told(email_text: str, phone_text: str, country: str = "") -> Contact:
    """Whichever of the two was told.

    Raises:
        EmailInvalid, PhoneInvalid
    """
    return phone(phone_text, country) if phone_text else email(email_text)


def sought(email_text: str, phone_text: str) -> Contact:
    """The same, to look for: what is no address is one that nobody has."""
    try:
        return told(email_text, phone_text)
    except (EmailInvalid, PhoneInvalid):
        text = (phone_text or email_text).strip()
        return Contact(PHONE if phone_text else EMAIL, text, f"\N{REPLACEMENT CHARACTER}{text}")
