"""mesh.runtime and identity on the real PostgreSQL and Redis."""
