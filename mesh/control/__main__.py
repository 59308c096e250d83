"""`python -m mesh.control`."""

from mesh.control.light_types import without_validators

with without_validators():
    from mesh.control.app import main

main()
