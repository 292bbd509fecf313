"""What a task may be declared with, one option or family of options per module."""
