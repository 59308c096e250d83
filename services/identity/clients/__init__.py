"""Who may ask for tokens: apps of others, and our own teams' service accounts."""
