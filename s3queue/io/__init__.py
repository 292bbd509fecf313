"""Performs the steps of the core for producers, operators and the runtime: requests, clock, wake-ups."""
