"""FIT files -> recordings, one for each session (leg) in the file.

Owns the use of Garmin's decoder. Decides which rows belong to which leg, and
says in words what is wrong with a damaged file, of which it keeps what came
before the damage. Never rounds, fills or smooths a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from garmin_fit_sdk import Decoder, Profile, Stream

from palestra_watch.recording import Recording, SourceError
from palestra_watch.sources.fit_beats import Beats
from palestra_watch.sources.fit_channels import Row, columns_of
from palestra_watch.sources.fit_sports import sport_of
from palestra_watch.sources.fit_summary import Leg, legs_of, summary_of

Message = Mapping[Any, Any]

EPOCH_S = 631_065_600
"""1989-12-31T00:00:00Z, FIT's epoch, in s since 1970."""
_LARGEST_BYTES = 64 * 1024 * 1024
_HRV = Profile["mesg_num"]["HRV"]
# Other messages may tell the time of a summary, before or after the samples.
_TIMED = (Profile["mesg_num"]["RECORD"], Profile["mesg_num"]["EVENT"])
_MAX_OFFSET_S = 64_800


@dataclass(slots=True)
class _Decoded:
    messages: Mapping[str, list[Message]]
    beats: Beats
    remarks: list[str] = field(default_factory=list)

    def all(self, kind: str) -> list[Message]:
        """The messages of one kind, in the file's order."""
        return self.messages.get(f"{kind}_mesgs", [])


def read_fit(path: Path) -> list[Recording]:
    """The sessions of a FIT file, in the order in which they began.

    Raises:
        SourceError: there is nothing in it that can be sent.
        OSError: it cannot be read.
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise SourceError(f"{path.name} is larger than {_LARGEST_BYTES >> 20} MiB")
    content = path.read_bytes()
    decoded = _decode(content, path.name)
    rows = _rows(decoded)
    if not rows:
        raise SourceError(_nothing(decoded, path.name))
    _merge_heart_rates(content, decoded, rows)
    if not decoded.all("session"):
        decoded.remarks.append("it has no summary, so that its sport may be unknown")
    legs = legs_of(decoded.all("session"), rows[0].time_ms)
    return [
        _recording(decoded, rows, legs, index, path)
        for index in range(len(legs))
        if _of_leg(rows, legs, index)
    ]


def _decode(content: bytes, name: str) -> _Decoded:
    decoder = Decoder(Stream.from_byte_array(bytearray(content)))
    if not decoder.is_fit():
        raise SourceError(f"{name} is not a FIT file")
    beats = Beats()

    def listen(number: int, message: Message) -> None:
        if number == _HRV:
            beats.intervals(message.get("time"))
        elif number in _TIMED and isinstance(message.get("timestamp"), int):
            beats.at((message["timestamp"] + EPOCH_S) * 1000)

    messages, errors = decoder.read(
        apply_scale_and_offset=False,
        convert_datetimes_to_dates=False,
        convert_types_to_strings=False,
        expand_sub_fields=False,
        expand_components=False,
        merge_heart_rates=False,
        mesg_listener=listen,
    )
    # The decoder's types say TypedDicts; what it gives are plain dicts keyed by name or number.
    plain: Any = messages
    return _Decoded(plain, beats, [_in_words(error) for error in errors])


def _in_words(error: Exception) -> str:
    text = str(error)
    if "ompressed" in text:
        return "it uses compressed timestamps, which this reader cannot read; the rest is left out"
    if "CRC" in text:
        return "its checksum is wrong; everything that could be read is kept"
    if isinstance(error, IndexError) or "remaining" in text:
        return "it ends too early; what came before is kept"
    return f"it is damaged ({text.removeprefix('FIT Runtime Error ')}); what came before is kept"


def _nothing(decoded: _Decoded, name: str) -> str:
    if decoded.remarks:
        return f"{name} holds no sample that can be read: {decoded.remarks[0]}"
    file_ids = decoded.all("file_id")
    number = file_ids[0].get("type") if file_ids else None
    kind = Profile["types"]["file"].get(number, "unknown")
    return f"{name} holds no workout samples: it is a file of the kind '{kind}'"


def _rows(decoded: _Decoded) -> list[Row]:
    rows = []
    untimed = 0
    for record in decoded.all("record"):
        if isinstance(record.get("timestamp"), int):
            rows.append(Row((record["timestamp"] + EPOCH_S) * 1000, dict(record)))
        else:
            untimed += 1
    if untimed:
        decoded.remarks.append(f"{untimed} samples have no time and are left out")
    return rows


def _merge_heart_rates(content: bytes, decoded: _Decoded, rows: list[Row]) -> None:
    """A strap worn under water tells its heart rates afterwards, in messages of their own."""
    records = decoded.all("record")
    if not decoded.all("hr") or decoded.remarks or len(records) != len(rows):
        return
    merged: Any
    merged, errors = Decoder(Stream.from_byte_array(bytearray(content))).read()
    if errors:
        decoded.remarks.append("the strap's own heart rates cannot be read and are left out")
        return
    for row, whole in zip(rows, merged["record_mesgs"], strict=True):
        if isinstance(whole.get("heart_rate"), int):
            row.fields.setdefault("heart_rate", whole["heart_rate"])


def _of_leg(rows: list[Row], legs: list[Leg], index: int) -> list[Row]:
    first = legs[index].start_time_ms if index else None
    end = legs[index + 1].start_time_ms if index + 1 < len(legs) else None
    return [
        row
        for row in rows
        if (first is None or row.time_ms >= first) and (end is None or row.time_ms < end)
    ]


def _recording(
    decoded: _Decoded, rows: list[Row], legs: list[Leg], index: int, path: Path
) -> Recording:
    leg = legs[index]
    beats = [Row(time_ms, {"rr": rr}) for time_ms, rr in decoded.beats.timed()]
    own = merge(_of_leg(rows, legs, index), _of_leg(beats, legs, index))
    time_ms, channels, left_out = columns_of(own, decoded.all("field_description"))
    sport = leg.session.get("sport", _sport_message(decoded))
    return Recording(
        label=path.name if len(legs) == 1 else f"{path.name} {index + 1}/{len(legs)}",
        sport=sport_of(sport, leg.session.get("sub_sport")),
        start_time_ms=leg.start_time_ms,
        utc_offset_s=_utc_offset_s(decoded),
        time_ms=time_ms,
        channels=channels,
        summary=summary_of(
            legs, index, decoded.all("lap"), decoded.all("event"), int(time_ms.max())
        ),
        remarks=(*decoded.remarks, *left_out),
    )


def merge(rows: list[Row], beats: list[Row]) -> list[Row]:
    """Both, by time; each keeps its own order, a record goes before a beat of the same instant."""
    merged: list[Row] = []
    waiting = iter(beats)
    beat = next(waiting, None)
    for row in rows:
        while beat is not None and beat.time_ms < row.time_ms:
            merged.append(beat)
            beat = next(waiting, None)
        merged.append(row)
    if beat is not None:
        merged += [beat, *waiting]
    return merged


def _sport_message(decoded: _Decoded) -> object:
    sports = decoded.all("sport") or decoded.all("lap")
    return sports[0].get("sport") if sports else None


def _utc_offset_s(decoded: _Decoded) -> int | None:
    for activity in decoded.all("activity"):
        local, utc = activity.get("local_timestamp"), activity.get("timestamp")
        if isinstance(local, int) and isinstance(utc, int) and abs(local - utc) <= _MAX_OFFSET_S:
            return local - utc
    return None
