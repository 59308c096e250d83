"""Path templates of google.api.http, parsed after the grammar in its http.proto.

Owns the reading only; whether a template fits its method is `mappings`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LITERAL = re.compile(r"[A-Za-z0-9_.~%!$&'()+,;@-]+")
_FIELD_PATH = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


class TemplateError(ValueError):
    """The template is not of the grammar; says where."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of the path that fills a field of the request."""

    path: str
    """The field's path, e.g. `profile.name`."""
    segments: tuple[str, ...]
    """What it matches, e.g. `("users", "*")`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template."""

    segments: tuple[str, ...]
    """Literals, `*` and `**`; those of the variables included."""
    variables: tuple[Variable, ...]
    verb: str
    """What stands after the last colon; empty for none."""

    @property
    def normal(self) -> str:
        """The same for all templates that match the same paths, whatever their variables."""
        return "/" + "/".join(self.segments) + (f":{self.verb}" if self.verb else "")


def parse(text: str) -> Template:
    """Reads a template.

    Raises:
        TemplateError: it is not of the grammar.
    """
    return _Parser(text).template()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self) -> Template:
        self._expect("/")
        variables: list[Variable] = []
        segments = self._segments(variables)
        verb = ""
        if self._accept(":"):
            verb = self._match(_LITERAL, "a verb")
        if self._at != len(self._text):
            raise self._error("the end of the template")
        if "**" in segments[:-1]:
            raise TemplateError(f"{self._text!r}: `**` may only be the last segment")
        return Template(tuple(segments), tuple(variables), verb)

    def _segments(self, variables: list[Variable] | None) -> list[str]:
        found = self._segment(variables)
        while self._accept("/"):
            found += self._segment(variables)
        return found

    def _segment(self, variables: list[Variable] | None) -> list[str]:
        if self._accept("**"):
            return ["**"]
        if self._accept("*"):
            return ["*"]
        if variables is not None and self._accept("{"):
            return self._variable(variables)
        return [self._match(_LITERAL, "a segment")]

    def _variable(self, variables: list[Variable]) -> list[str]:
        path = self._match(_FIELD_PATH, "a field path")
        # A variable in a variable is not of the grammar.
        segments = self._segments(None) if self._accept("=") else ["*"]
        self._expect("}")
        variables.append(Variable(path, tuple(segments)))
        return segments

    def _accept(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise self._error(f"`{token}`")

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._error(what)
        self._at = found.end()
        return found.group()

    def _error(self, wanted: str) -> TemplateError:
        return TemplateError(f"{self._text!r}: {wanted} is wanted at column {self._at + 1}")
