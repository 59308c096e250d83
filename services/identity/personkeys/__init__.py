"""The keys of people: made, given out, destroyed with them."""
