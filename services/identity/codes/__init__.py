"""Codes that are sent to an address and prove that a person reads what comes there."""
