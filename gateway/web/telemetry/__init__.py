"""The telemetry line over WebSocket, for watches and browsers without gRPC.

Owns the carrying of messages between a WebSocket and integration's StreamTelemetry,
frame by frame and no faster than either side takes them. Decides nothing about sessions,
batches or tokens: those rules are integration's, and are the same over gRPC.
"""

from gateway.web.telemetry.routes import mount

__all__ = ["mount"]
