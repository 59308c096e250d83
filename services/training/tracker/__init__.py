"""The tracker: live telemetry, from the open of a session to its durable end."""
