"""The cost of a dashboard with many viewers over a long backlog."""
