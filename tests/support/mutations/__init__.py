"""Requests with something wrong about them, made by seed from requests that are right."""
