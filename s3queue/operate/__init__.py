"""What people and programs do about a queue that runs: look, steer, repair."""
