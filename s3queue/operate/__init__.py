"""What people and programs do with a running queue: read, steer and repair it."""
