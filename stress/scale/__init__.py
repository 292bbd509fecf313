"""Thousands of hosts and hours of their time, in minutes on one machine.

The agents are those of production: the loops of `s3queue.core.agent` with elections, cycles, chores, ledgers and pacing, on
the production dealer and journal. They run against a store that is only numbers: latencies, limits, prices.

Modelled: workers (`workers.py`: slots, and reads beside them), and time itself. Left out: deaths of workers, failures of
tasks, and wake-ups, since each host is on a machine of its own.
"""
