from mesh.runtime import run
from services.training.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
