"""`python -m services.identity.keys`."""

from services.identity.keys.command import main

if __name__ == "__main__":
    main()
