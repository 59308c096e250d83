from mesh.runtime import run
from services.integration.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
