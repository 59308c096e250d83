"""`python -m services.identity.roles`."""

from services.identity.roles.command import main

if __name__ == "__main__":
    main()
