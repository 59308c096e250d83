"""Training: live sessions, the activities they become, and what these add up to."""
