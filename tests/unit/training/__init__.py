"""Tests of the pure rules of training."""
