"""The addresses that a person is reached and found by: e-mail and phone, proved by codes."""
