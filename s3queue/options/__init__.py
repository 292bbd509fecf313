"""The options of a task, one option or family of options per module."""
