"""The device's side of the streaming protocol, without any I/O.

Decides what is sent next, what an answer means, when to go back, when the
stream is of no more use and when the session itself is. Never touches a socket,
a file or a clock: what it decides, `stream.py` does.
"""

from __future__ import annotations

from enum import Enum

GO_BACKS = 16
"""How often a stream may be sent back with no progress in between."""

_GO_BACK = frozenset({"BATCH_OUT_OF_ORDER"})
_SOMEBODY_ELSE = frozenset({"SESSION_FENCED", "SESSION_ENDED"})
_SIGN_IN = frozenset({"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING", "TOKEN_REVOKED"})
_PASSING = frozenset(
    {"UNAVAILABLE", "OVERLOADED", "UNEXPECTED", "DEADLINE_EXCEEDED", "SESSION_UNKNOWN"}
)


class StreamBroken(Exception):
    """This stream is of no more use; the session goes on with the next one."""

    def __init__(self, why: str, *, fenced: bool = False, signed_out: bool = False) -> None:
        super().__init__(why)
        self.fenced = fenced
        """Another stream has taken the session."""
        self.signed_out = signed_out
        """The token is not good any more."""


class SessionRefused(Exception):
    """The session cannot go on at all; its words say why."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{detail} [{reason}]" if reason else detail)
        self.reason = reason


class Phase(Enum):
    """Where a stream stands."""

    OPENING = "opening"
    STREAMING = "streaming"
    OVER = "over"


class Send(Enum):
    """What else than a batch may be sent next."""

    NOTHING = "nothing"
    CLOSE = "close"


class Session:
    """The counters of one session; all batch numbers are of the whole session."""

    def __init__(self, acknowledged: int, made: int, *, complete: bool) -> None:
        self.acknowledged = acknowledged
        """All batches up to this one are durable on the server."""
        self.made = made
        """The last batch that exists."""
        self.complete = complete
        """Whether no batch follows `made`."""
        self.phase = Phase.OPENING
        self.window = 0
        self.activity = ""
        self.next_seq = acknowledged + 1
        self.sent_again = 0
        self.rejected = 0
        self._highest_sent = acknowledged
        self._ever_sent = acknowledged
        self._close_sent = False
        self._go_backs = 0

    def opening(self) -> None:
        """A new stream begins; nothing is known of it yet."""
        self.phase = Phase.OPENING
        self.window = 0
        self._highest_sent = self.acknowledged
        self._close_sent = False
        self._go_backs = 0

    def on_accepted(self, resume_from: int, window: int, activity: str) -> None:
        """The server took the session and says where it goes on.

        Raises:
            StreamBroken: it says so twice.
            SessionRefused: it wants, or has, what does not exist here.
        """
        if self.phase is not Phase.OPENING:
            raise StreamBroken("the server accepted the session twice on one stream")
        have = max(resume_from, 1) - 1
        if have > self.made:
            raise SessionRefused(
                "", f"the server has batch {have} of the session, of which only {self.made} exist"
            )
        if have < self.acknowledged:
            raise SessionRefused(
                "",
                f"the server has lost batches {have + 1} to {self.acknowledged}, "
                "which it had acknowledged",
            )
        self.phase = Phase.STREAMING
        self.acknowledged = self._highest_sent = have
        self.next_seq = have + 1
        self.window = window
        self.activity = activity

    def renumbered(self, made: int) -> None:
        """The batches that wait were cut anew, before any of them was sent on this stream."""
        self.made = made
        self._ever_sent = min(self._ever_sent, made)

    def on_made(self, made: int, *, complete: bool) -> None:
        """Batches up to `made` exist."""
        self.made, self.complete = made, complete

    def next(self) -> int | Send:
        """The batch to send next, or what else there is to send."""
        if self.phase is not Phase.STREAMING:
            return Send.NOTHING
        if self.next_seq <= self.made:
            in_flight = self.next_seq - 1 - self.acknowledged
            return self.next_seq if in_flight < self.window else Send.NOTHING
        if self.complete and not self._close_sent:
            return Send.CLOSE
        return Send.NOTHING

    def on_sent(self, what: int | Send) -> None:
        """What `next` answered has gone out."""
        if what is Send.CLOSE:
            self._close_sent = True
        elif isinstance(what, int):
            self.sent_again += what <= self._ever_sent
            self.next_seq = what + 1
            self._highest_sent = max(self._highest_sent, what)
            self._ever_sent = max(self._ever_sent, what)

    @property
    def waits_for_answer(self) -> bool:
        """Whether the server owes something."""
        return (
            self.phase is Phase.OPENING
            or self._close_sent
            or self.next_seq - 1 > (self.acknowledged)
        )

    def on_ack(self, seq: int) -> None:
        """All batches up to `seq` are durable; an old or repeated answer says nothing new.

        Raises:
            StreamBroken: it is about a batch that did not go out on this stream.
        """
        self._only_while_streaming("acknowledged a batch")
        if seq > self._highest_sent:
            raise StreamBroken(f"the server acknowledged batch {seq}, which was not sent")
        if seq > self.acknowledged:
            self.acknowledged = seq
            self.next_seq = max(self.next_seq, seq + 1)
            self._go_backs = 0

    def on_flow(self, window: int) -> None:
        """The window from now on."""
        self.window = window

    def on_reject(self, seq: int, reason: str, detail: str, resume_from: int) -> None:
        """The server refused a batch, or the session.

        Raises:
            StreamBroken: the session goes on with another stream.
            SessionRefused: it does not.
        """
        self.rejected += 1
        told = detail or reason
        if reason in _GO_BACK:
            self._go_back(resume_from or seq)
        elif reason in _SOMEBODY_ELSE:
            raise StreamBroken(told, fenced=True)
        elif reason in _SIGN_IN:
            raise StreamBroken(told, signed_out=True)
        elif reason in _PASSING:
            raise StreamBroken(told)
        elif reason == "SESSION_CLOSED" and self.complete and resume_from - 1 == self.made:
            # Our close arrived, its answer did not.
            self._over(self.activity)
        else:
            about = f"batch {seq}: " if seq else ""
            raise SessionRefused(reason, f"{about}{detail or 'the server refused the session'}")

    def on_closed(self, activity: str) -> None:
        """The session is finished; in answer to an Open, it was before.

        Raises:
            StreamBroken: nobody asked for that.
        """
        # An earlier stream's close arrived, its answer did not.
        finished_before = self.phase is Phase.OPENING and self.complete
        if not (self._close_sent or finished_before):
            raise StreamBroken("the server closed a session that goes on")
        self._over(activity)

    def _over(self, activity: str) -> None:
        self.acknowledged = self.made
        self.activity = activity or self.activity
        self.phase = Phase.OVER

    def _go_back(self, resume_from: int) -> None:
        self._only_while_streaming("refused a batch")
        self._go_backs += 1
        if self._go_backs > GO_BACKS or resume_from > self._highest_sent + 1:
            raise StreamBroken(f"the server wants batch {resume_from} again and again")
        # What is acknowledged is durable, whatever a late answer says.
        self.next_seq = max(resume_from, self.acknowledged + 1)
        self._close_sent = False

    def _only_while_streaming(self, what: str) -> None:
        if self.phase is not Phase.STREAMING:
            raise StreamBroken(f"the server {what} before it accepted the session")
