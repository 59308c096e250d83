"""`python -m gateway.limiter`."""

from mesh.importing import frugally

with frugally():
    from gateway.limiter.process import main

main()
