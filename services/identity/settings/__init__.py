"""How a person wants things to be."""
