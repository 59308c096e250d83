"""OAuth clients that nobody here wrote."""

from __future__ import annotations

import warnings

# It tells of its own plans at its import, whatever the filters are.
with warnings.catch_warnings(record=True):
    from authlib.integrations.httpx_client import OAuth2Client
    from authlib.oidc.core import CodeIDToken

__all__ = ["CodeIDToken", "OAuth2Client"]
