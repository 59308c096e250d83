"""Staying signed in: sessions, their chains of refresh tokens, the access tokens they give."""
