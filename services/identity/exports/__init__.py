"""Copies of everything that is kept of a person."""
