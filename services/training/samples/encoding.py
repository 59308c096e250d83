"""Descriptions of samples from the contract's messages."""

from __future__ import annotations

from palestra.training.v1 import telemetry_pb2
from services.training.samples.rules.channels import ChannelSpec, Encoding, check_description


def channels_of(description: telemetry_pb2.SessionDescription) -> tuple[ChannelSpec, ...]:
    """The description's channels, as they were sent.

    Raises:
        ValueError: an encoding that is none of the contract's.
    """
    return tuple(
        ChannelSpec(
            channel.name,
            channel.unit,
            channel.scale,
            channel.offset,
            Encoding.of_contract(channel.encoding),
        )
        for channel in description.channels
    )


def stored_channels(description: telemetry_pb2.SessionDescription) -> tuple[ChannelSpec, ...]:
    """The channels of a stored description, as its samples are packed."""
    return check_description(channels_of(description))
