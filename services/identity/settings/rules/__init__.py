"""The rules of settings: what can be chosen, and what is usual where nothing was."""
