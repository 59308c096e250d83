"""`python -m mesh.control`."""

from mesh.control.app import main

main()
