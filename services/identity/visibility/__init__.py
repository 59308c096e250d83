"""Who sees whose things, for the services that ask: decided by relations."""
