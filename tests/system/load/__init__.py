"""What thousands of streams and slow consumers take of a whole stack."""
