"""Signing in with the retailer's shop, by OpenID Connect."""
