"""What a request costs: `python -m tests.load`. Prints; asserts nothing unless told to."""
