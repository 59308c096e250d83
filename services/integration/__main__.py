from mesh.importing import frugally

with frugally():
    from mesh.runtime import run
    from services.integration.service import SERVICE
run(SERVICE)
