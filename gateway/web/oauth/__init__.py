"""The authorisation server's face: what browsers and apps of others speak HTTP with.

Owns pages, cookies, forms and the shapes that OAuth gives to answers. Decides nothing about
people, apps or tokens: identity does, and is asked as the edge.
"""

from gateway.web.oauth.routes import mount

__all__ = ["mount"]
