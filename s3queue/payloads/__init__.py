"""What a message carries: encoding, types, and that what arrives equals what was given."""
