"""`python -m mesh.control`."""

from mesh.control.light_types import without_validators
from mesh.importing import frugally

with frugally(), without_validators():
    from mesh.control.app import main

main()
