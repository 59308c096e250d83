"""Progress: what a person's activities add up to."""
