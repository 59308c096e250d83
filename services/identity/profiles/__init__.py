"""What a person tells about himself."""
