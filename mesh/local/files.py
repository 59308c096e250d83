"""How many files a process may have open: each connection is one, at the edge and behind it.

Decides the limit that all processes of a stack inherit: as much as this user may have.
"""

from __future__ import annotations

import resource

FEW = 8192
"""Below it thousands of watchers and watches find the edge full."""
_MOST = 1 << 20


def raise_limit() -> int:
    """Raises the soft limit to the hard one, for this process and its children; the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Without a limit some programs walk through every number that there could be.
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def words(limit: int) -> str:
    """What somebody should know of a limit that is low; nothing where it is not."""
    if limit >= FEW:
        return ""
    return (
        f"A process may have only {limit} files open here, and each connection is one: about "
        f"{max(0, limit // 2 - 64)} watchers or watches at once. "
        f"Raise it (ulimit -Hn, LimitNOFILE= of systemd, limits.conf)."
    )
