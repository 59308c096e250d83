"""Tests of mesh.runtime that need no store."""
