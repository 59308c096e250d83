"""What letters say, in English and Russian; all else is English.

Owns the words of each kind, and which of a letter's details they show. Knows no address, and
never says more than the letter was given. Whoever carries letters may have words of his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from services.identity.letters.rules import Kind


class Words(NamedTuple):
    """A letter in one language."""

    subject: str
    text: str


_K = Kind
EN: Final[Mapping[Kind, Words]] = MappingProxyType(
    {
        _K.VERIFY_ADDRESS: Words(
            "Your code: {code}",
            "Confirm this address with the code {code}. Nobody at Palestra will ask you for it.",
        ),
        _K.RESET_PASSWORD: Words(
            "Your code for a new password: {code}",
            "Set a new password with the code {code}. If you did not ask for it, do nothing.",
        ),
        _K.UNLOCK_ACCOUNT: Words(
            "Too many tries to sign in",
            "Somebody tried to sign in to your account too often. Was it you? Go on with the"
            " code {code}.",
        ),
        _K.ADDRESS_ADDED: Words(
            "An address was added", "An address was added to your account. {details}"
        ),
        _K.ADDRESS_REMOVED: Words(
            "This address was removed", "This address does not belong to your account any more."
        ),
        _K.PRIMARY_CHANGED: Words(
            "Letters go to another address now",
            "Letters about your account go to another of your addresses from now on.",
        ),
        _K.PASSWORD_CHANGED: Words(
            "Your password was changed",
            "Your password was changed. If it was not you, set a new one at once. {details}",
        ),
        _K.NEW_SIGN_IN: Words("A new sign-in", "Somebody signed in to your account. {details}"),
        _K.FACTOR_ADDED: Words(
            "A second factor was added", "A second factor was added to your account. {details}"
        ),
        _K.FACTOR_REMOVED: Words(
            "A second factor was removed",
            "A second factor was removed from your account. {details}",
        ),
        _K.FACTORS_RESET_PLANNED: Words(
            "Your second factors are to be removed",
            "Support was asked to remove your second factors. If it was not you, sign in and"
            " stop it. {details}",
        ),
        _K.RECOVERY_CODE_USED: Words(
            "A recovery code was used", "A recovery code was used to sign in. {details}"
        ),
        _K.EXPORT_READY: Words(
            "Your data is ready",
            "The archive of all your data can be downloaded in the settings until {until}.",
        ),
        _K.EXPORT_FAILED: Words(
            "Your data could not be gathered",
            "The archive of your data could not be made. Please ask for it again.",
        ),
        _K.ERASURE_PLANNED: Words(
            "Your account will be erased",
            "Your account and all your data will be erased on {until}. Until then you can sign in"
            " and cancel it. If it was not you, cancel it and set a new password.",
        ),
        _K.ERASURE_CANCELLED: Words(
            "Your account stays", "The erasure of your account was cancelled. Nothing was erased."
        ),
        _K.ERASURE_BEGUN: Words(
            "Your account is being erased",
            "Your account and all your data are being erased now, and this address with them:"
            " this is our last letter. Your certificate is {certificate}; it is read with the"
            " secret that you got when you asked.",
        ),
    }
)
RU: Final[Mapping[Kind, Words]] = MappingProxyType(
    {
        _K.VERIFY_ADDRESS: Words(
            "Ваш код: {code}",
            "Подтвердите этот адрес кодом {code}. Сотрудники Palestra никогда его не спрашивают.",
        ),
        _K.RESET_PASSWORD: Words(
            "Код для нового пароля: {code}",
            "Задайте новый пароль с кодом {code}. Если вы этого не просили, ничего не делайте.",
        ),
        _K.UNLOCK_ACCOUNT: Words(
            "Слишком много попыток входа",
            "Кто-то слишком часто пытался войти в вашу учётную запись. Это были вы? Продолжите"
            " с кодом {code}.",
        ),
        _K.ADDRESS_ADDED: Words(
            "Добавлен адрес", "К вашей учётной записи добавлен адрес. {details}"
        ),
        _K.ADDRESS_REMOVED: Words(
            "Этот адрес удалён", "Этот адрес больше не относится к вашей учётной записи."
        ),
        _K.PRIMARY_CHANGED: Words(
            "Письма будут приходить на другой адрес",
            "Письма об учётной записи теперь приходят на другой ваш адрес.",
        ),
        _K.PASSWORD_CHANGED: Words(
            "Пароль изменён",
            "Ваш пароль изменён. Если это были не вы, сразу задайте новый. {details}",
        ),
        _K.NEW_SIGN_IN: Words("Новый вход", "Выполнен вход в вашу учётную запись. {details}"),
        _K.FACTOR_ADDED: Words(
            "Добавлен второй фактор", "К вашей учётной записи добавлен второй фактор. {details}"
        ),
        _K.FACTOR_REMOVED: Words(
            "Удалён второй фактор", "Из вашей учётной записи удалён второй фактор. {details}"
        ),
        _K.FACTORS_RESET_PLANNED: Words(
            "Вторые факторы будут удалены",
            "Поддержку попросили удалить ваши вторые факторы. Если это были не вы, войдите и"
            " отмените это. {details}",
        ),
        _K.RECOVERY_CODE_USED: Words(
            "Использован код восстановления", "Для входа использован код восстановления. {details}"
        ),
        _K.EXPORT_READY: Words(
            "Ваши данные готовы",
            "Архив со всеми вашими данными можно скачать в настройках до {until}.",
        ),
        _K.EXPORT_FAILED: Words(
            "Не удалось собрать ваши данные",
            "Архив с вашими данными создать не удалось. Запросите его ещё раз.",
        ),
        _K.ERASURE_PLANNED: Words(
            "Ваша учётная запись будет удалена",
            "Учётная запись и все ваши данные будут удалены {until}. До этого вы можете войти и"
            " отменить удаление. Если это были не вы, отмените его и задайте новый пароль.",
        ),
        _K.ERASURE_CANCELLED: Words(
            "Ваша учётная запись остаётся",
            "Удаление учётной записи отменено. Ничего не удалено.",
        ),
        _K.ERASURE_BEGUN: Words(
            "Ваша учётная запись удаляется",
            "Учётная запись и все ваши данные сейчас удаляются, и этот адрес вместе с ними: это"
            " последнее письмо. Номер свидетельства: {certificate}; оно выдаётся по секрету,"
            " полученному при запросе.",
        ),
    }
)


class _Shown(dict[str, str]):
    """What a letter does not say is shown as nothing."""

    def __missing__(self, key: str) -> str:
        return ""


def words_of(kind: Kind, language: str, code: str, details: Mapping[str, str]) -> Words:
    """A letter as people read it; `language` is BCP 47."""
    told = RU if language.lower().partition("-")[0] == "ru" else EN
    shown = _Shown(details)
    shown["code"] = code
    shown["details"] = "; ".join(f"{name}: {value}" for name, value in sorted(details.items()))
    return Words(*(each.format_map(shown).strip() for each in told[kind]))
