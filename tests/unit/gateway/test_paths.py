import re

import pytest

from gateway.paths import overlap, pattern_of


@pytest.mark.parametrize(
    ("template", "flat", "fits", "fits_not"),
    [
        ("/v1/auth:login", "/v1/auth:login", "/v1/auth:login", "/v1/auth"),
        ("/v1/{name=users/*}", "/v1/users/*", "/v1/users/me", "/v1/users/me/x"),
        ("/v1/{user.name}", "/v1/*", "/v1/x", "/v1/"),
        (
            "/v1/{name=users/*/activities/*}:watch",
            "/v1/users/*/activities/*:watch",
            "/v1/users/me/activities/a-1:watch",
            "/v1/users/me/activities/a-1",
        ),
        (
            "/v1/{name=users/*/activities/*}",
            "/v1/users/*/activities/*",
            "/v1/users/me/activities/a-1",
            "/v1/users/me/activities/a-1:watch",
        ),
        ("/v1/{path=**}", "/v1/**", "/v1/a/b", "/v2/a/b"),
        ("/v1/a.b/{x}", "/v1/a.b/*", "/v1/a.b/c", "/v1/aXb/c"),
    ],
)
def test_a_template_fits_what_the_transcoder_would_bind(
    template: str, flat: str, fits: str, fits_not: str
) -> None:
    pattern = pattern_of(template)
    assert pattern.template == flat
    assert re.fullmatch(pattern.regex, fits)
    assert not re.fullmatch(pattern.regex, fits_not)


@pytest.mark.parametrize(
    "template", ["", "v1/users", "/", "/v1//x", "/v1/{name", "/v1/x:", "/v1/a b", "/v1/{a=b/{c}}"]
)
def test_what_the_transcoder_cannot_serve_is_refused_by_name(template: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(template))):
        pattern_of(template)


def test_the_more_particular_comes_first() -> None:
    templates = ["/v1/**", "/v1/*/*", "/v1/*/x", "/v1/*:go", "/v1/auth:login", "/v1/*"]
    ranked = sorted((pattern_of(each) for each in templates), key=lambda each: each.rank)
    assert [each.template for each in ranked] == [
        "/v1/auth:login",
        "/v1/*:go",
        "/v1/*",
        "/v1/*/x",
        "/v1/*/*",
        "/v1/**",
    ]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("/v1/users/*", "/v1/users/*", True),
        ("/v1/users/*", "/v1/users/me", True),
        ("/v1/users/*", "/v1/users/*/devices", False),
        ("/v1/users/*", "/v1/groups/*", False),
        ("/v1/users/*", "/v1/users/*:watch", False),
        ("/v1/users/*:watch", "/v1/users/me:watch", True),
        ("/v1/**", "/v1/users/me", True),
        ("/v1/**", "/v2/users", False),
        ("/v1/**/items", "/v1/users/*/items", True),
        ("/v1/**/items", "/v1/items", False),
        ("/v1/**/items", "/v1/**", True),
        ("/v1/*/items", "/v1/**/devices", False),
    ],
)
def test_two_patterns_overlap_where_one_path_fits_both(one: str, other: str, both: bool) -> None:
    assert overlap(pattern_of(one), pattern_of(other)) is both
    assert overlap(pattern_of(other), pattern_of(one)) is both
