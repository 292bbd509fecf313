"""What performs the steps of the core for producers, operators and the runtime alike: requests, clock, wake-ups."""
