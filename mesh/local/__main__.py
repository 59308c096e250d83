"""`python -m mesh.local`: the `palestra` command."""

from __future__ import annotations

from mesh.local.cli import app

if __name__ == "__main__":
    app(prog_name="palestra")
