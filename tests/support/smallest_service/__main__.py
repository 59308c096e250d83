from mesh.runtime import run
from tests.support.smallest_service.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
