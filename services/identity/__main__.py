from mesh.importing import frugally

with frugally():
    from mesh.runtime import run
    from services.identity.service import SERVICE
run(SERVICE)
