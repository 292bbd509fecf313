"""The payload of a message: encoding, types, and the check that a value arrives unchanged."""
