"""How messages get into the store."""
