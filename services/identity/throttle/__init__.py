"""Slows down those who guess, without locking out those who know."""
