"""`python -m gateway.web`."""

from mesh.importing import frugally

with frugally():
    from gateway.web.process import main

main()
