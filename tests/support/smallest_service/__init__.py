"""The smallest service there can be, for the test that runs it."""
