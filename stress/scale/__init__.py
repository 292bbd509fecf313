"""Simulations of thousands of hosts over hours, in minutes on one machine.

The agents are those of production: the loops of `s3queue.core.agent` with elections, cycles, chores, ledgers and
pacing, on the production dealer and journal. They run against a store that consists of numbers: latencies, limits,
prices.

Modelled: workers (`workers.py`: slots, with reads beside them), and time. Left out: deaths of workers, failures of
tasks, and wake-ups, since each host is on a machine of its own.
"""
