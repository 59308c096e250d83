"""The tables of identity, a file per capability. `migrations` makes them; the stores use them."""
