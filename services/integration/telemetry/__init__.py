"""The line between a watch and training: live, resumable, acknowledged when durable."""
