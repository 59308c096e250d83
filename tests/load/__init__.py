"""What a request costs: `python -m tests.load`. Measures and prints, asserts nothing."""
