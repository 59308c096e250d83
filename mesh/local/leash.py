"""Starts one program that cannot outlive the supervisor. Run as a script, with no imports of ours.

Owns the last steps before `exec`: it asks the kernel to signal the program when
the supervisor dies, however that happens, and gives up root where told to. These
steps happen in a fresh interpreter rather than between fork and exec, where
Python code is unsafe beside threads.

The kernel watches the parent's *thread*, so the supervisor starts processes from
its main thread only.

Usage: python -I -S leash.py PARENT SIGNAL USER CAPABILITIES PROGRAM [ARGUMENT …]
  PARENT        the supervisor's process id; if it is gone already, nothing starts
  SIGNAL        what the kernel sends when the supervisor dies (a number)
  USER          the numeric user (and group) to become, or `-`
  CAPABILITIES  capability numbers to keep in spite of USER, joined by commas, or `-`
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int) -> None:
    numbers = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *numbers) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _keep_capabilities(numbers: list[int]) -> None:
    """Holds exactly these capabilities, also across exec."""
    bits = sum(1 << number for number in numbers)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable; the lower 32 of each, then the upper.
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    if _libc.capset(header, data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
    for number in numbers:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def _become(user: int, capabilities: list[int]) -> None:
    if capabilities:
        # Keeps capabilities over setuid, and lets access(2) honour them afterwards.
        _prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if capabilities:
        _keep_capabilities(capabilities)


def main(arguments: list[str]) -> None:
    """Becomes the program, or ends with status 127 and says why on standard error."""
    parent, signal, user, capabilities, *program = arguments
    try:
        if user != "-":
            _become(int(user), [int(each) for each in capabilities.split(",") if each != "-"])
        # After the change of user, which clears it.
        _prctl(_PR_SET_PDEATHSIG, int(signal))
        if os.getppid() != int(parent):
            sys.exit(127)
        os.execv(program[0], program)  # noqa: S606 - this is what the file is for
    except OSError as error:
        sys.stderr.write(f"palestra: cannot start {program[0]}: {error}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
