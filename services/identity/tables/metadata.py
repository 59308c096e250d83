"""What all tables of identity are registered with."""

from __future__ import annotations

from sqlalchemy import MetaData

METADATA = MetaData()
