"""What the authorisation pages say, in English and Russian."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "sign_in": "Sign in",
        "sign_in_to": "to continue to {app}",
        "email": "E-mail",
        "password": "Password",
        "second_step": "Confirm that it is you",
        "code": "Code of your authenticator app",
        "recovery_code": "Recovery code",
        "with_recovery_code": "Use a recovery code",
        "go_on": "Continue",
        "with_passkey": "Use a passkey",
        "no_passkey": "No passkey was shown. Try again, or use another way.",
        "needs_script": "Passkeys need JavaScript, which is switched off in this browser.",
        "second_wrong": "This code or passkey does not serve. Try the next one.",
        "second_expired": "This took too long or too many tries. Begin again.",
        "blocked": "This account cannot be signed in to now.",
        "with_shop": "Sign in with the shop",
        "shop_refused": "The shop did not confirm who you are. Go back to the app and try again.",
        "shop_expired": "This sign-in took too long, or was not begun in this browser. "
        "Go back to the app and try again.",
        "shop_link": "You have an account here already. Sign in with your password, "
        "then link the shop in your settings.",
        "wrong": "The e-mail address or the password is wrong.",
        "too_many": "Too many tries. Wait a little and try again.",
        "unavailable": "This does not work right now. Please try again.",
        "asks": "{app} asks to use your Palestra account",
        "will_be_able": "It will be able to:",
        "not_made_by_us": "This app is not made by Palestra. You will be sent to {origin}. "
        "You can take this back at any time, in your settings under “Apps”.",
        "about": "About the app",
        "allow": "Allow",
        "deny": "Do not allow",
        "signed_in_as": "Signed in as {person}.",
        "switch": "Use another account",
        "cannot_go_on": "This cannot go on",
        "app_at_fault": "The app that sent you here made a mistake. Tell its makers: {why}",
        "reload": "This page is too old. Go back to the app and try again.",
    },
    "ru": {
        "sign_in": "Вход",
        "sign_in_to": "чтобы продолжить в {app}",
        "email": "Электронная почта",
        "password": "Пароль",
        "second_step": "Подтвердите, что это вы",
        "code": "Код из приложения-аутентификатора",
        "recovery_code": "Резервный код",
        "with_recovery_code": "Ввести резервный код",
        "go_on": "Продолжить",
        "with_passkey": "Войти с ключом доступа",
        "no_passkey": "Ключ доступа не предъявлен. Попробуйте ещё раз или другим способом.",
        "needs_script": "Для ключей доступа нужен JavaScript, в этом браузере он отключён.",
        "second_wrong": "Этот код или ключ не подходит. Попробуйте следующий.",
        "second_expired": "Прошло слишком много времени или попыток. Начните заново.",
        "blocked": "Войти в эту учётную запись сейчас нельзя.",
        "with_shop": "Войти через магазин",
        "shop_refused": "Магазин не подтвердил, кто вы. Вернитесь в приложение и попробуйте снова.",
        "shop_expired": "Вход занял слишком много времени или начат в другом браузере. "
        "Вернитесь в приложение и попробуйте снова.",
        "shop_link": "У вас уже есть учётная запись. Войдите по паролю "
        "и привяжите магазин в настройках.",
        "wrong": "Неверный адрес или пароль.",
        "too_many": "Слишком много попыток. Подождите немного и попробуйте снова.",
        "unavailable": "Сейчас не получается. Попробуйте ещё раз.",
        "asks": "{app} просит доступ к вашей учётной записи Palestra",
        "will_be_able": "Приложение сможет:",
        "not_made_by_us": "Это приложение сделано не Palestra. Вы вернётесь на {origin}. "
        "Доступ можно забрать в любой момент в настройках, в разделе «Приложения».",
        "about": "О приложении",
        "allow": "Разрешить",
        "deny": "Не разрешать",
        "signed_in_as": "Вы вошли как {person}.",
        "switch": "Другая учётная запись",
        "cannot_go_on": "Продолжить нельзя",
        "app_at_fault": "Приложение, из которого вы пришли, допустило ошибку. "
        "Сообщите его разработчикам: {why}",
        "reload": "Страница устарела. Вернитесь в приложение и попробуйте снова.",
    },
}
USUAL = "en"


def language(wanted: str, accepted: str) -> str:
    """The first language that we speak, of `ui_locales` or of an Accept-Language header."""
    for each in (*wanted.split(), *accepted.split(",")):
        primary = each.split(";")[0].strip().lower().split("-")[0]
        if primary in WORDS:
            return primary
    return USUAL
