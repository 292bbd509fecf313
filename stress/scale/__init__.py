"""Thousands of hosts and hours of their time, in minutes on one machine.

The coordinator's cycle, the elections and every host's ledger are the production steps of `s3queue.core`, driven against a
store that is only numbers: latencies, limits, prices. When an agent looks, flushes and cycles is decided by the production
`s3queue.core.pacing.Pace`. What is modelled instead of run: the loop of the agent around those two (`hosts.py`
follows `s3queue.runtime.agent.hosting` and `leading` line by line, and says where it does not), the workers (a slot is
busy for the time to read its message and the time of the task), and time itself.
"""
