"""Envoy's message types without pydantic, each made when first used: half of all imports.

Decides nothing about messages: the same are made, byte for byte, which a test compares.
The unit tests import the types as they are, so that a wrong value is found there.

Of some 700 types that the modules declare a hundred are used; what a dataclass needs is
compiled for those alone.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_INIT, _FIELDS = "__init__", "__dataclass_fields__"
_OF_EVERY_CLASS = ("__dict__", "__weakref__")
_making = threading.RLock()


@contextmanager
def without_validators() -> Iterator[None]:
    """Message types that are imported within the block are plain dataclasses.

    pydantic is not imported for them; what was imported before stays as it is.
    """
    standing_in = _nobody()
    before = {name: sys.modules[name] for name in standing_in if name in sys.modules}
    sys.modules.update(standing_in)
    try:
        yield
    finally:
        for name in standing_in:
            del sys.modules[name]
        sys.modules.update(before)


def _nobody() -> dict[str, Any]:
    """What the generated modules and betterproto2 want of pydantic."""
    pydantic, classes = ModuleType("pydantic"), ModuleType("pydantic.dataclasses")
    vars(classes).update(dataclass=_later, rebuild_dataclass=_nothing)
    vars(pydantic).update(dataclasses=classes, model_validator=_unasked)
    vars(pydantic).update(AfterValidator=_Mark, Field=_Mark)
    # By Python's own rule None is a module that cannot be found: betterproto2 goes without.
    return {"pydantic": pydantic, "pydantic.dataclasses": classes, "pydantic_core": None}


def _nothing(*_: object, **__: object) -> None:
    """Nothing is to be built anew."""


def _unasked(**_: object) -> Callable[[Any], Any]:
    return lambda validator: validator


class _Mark:
    """What an annotation asks a validation by; nobody looks at it."""

    def __init__(self, *_: object, **__: object) -> None: ...


def _later(*, config: object = None, **options: Any) -> Callable[[type], type]:  # noqa: ARG001
    def declared(cls: type) -> type:
        for name in (_INIT, _FIELDS):
            setattr(cls, name, _Unmade(name, cls, options))
        return cls

    return declared


class _Unmade:
    """What a dataclass has, in a class that is none before it is asked for."""

    def __init__(self, name: str, cls: type, options: Mapping[str, Any]) -> None:
        self._name, self._cls, self._options = name, cls, options

    def __get__(self, instance: object, owner: type) -> Any:
        with _making:
            if vars(self._cls)[self._name] is self:
                _make(self._cls, self._options)
        return getattr(owner if instance is None else instance, self._name)


def _make(cls: type, options: Mapping[str, Any]) -> None:
    """Makes it a dataclass, in no moment half of one: other threads use it meanwhile."""
    declared = {
        name: each
        for name, each in vars(cls).items()
        if name not in _OF_EVERY_CLASS and not isinstance(each, _Unmade)
    }
    twin: type = dataclasses.dataclass(**options)(type(cls)(cls.__name__, cls.__bases__, declared))
    made = vars(twin)
    for name in (*made[_FIELDS], "__dataclass_params__", "__match_args__", _FIELDS, _INIT):
        if name in made:
            setattr(cls, name, made[name])
        elif name in vars(cls):
            delattr(cls, name)
