"""Tests of one piece alone."""
