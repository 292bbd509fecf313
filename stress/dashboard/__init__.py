"""What a dashboard costs with many viewers over a long backlog."""
