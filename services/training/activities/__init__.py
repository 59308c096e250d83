"""Activities: what was done, what we make of it, and how it is listed and drawn."""
