"""What can go wrong on this machine, said in sentences for the person at the keyboard."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""


class AlreadyRunningError(StackError):
    """Another supervisor holds the state folder."""
