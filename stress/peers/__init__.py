"""The queues that a user would take instead, measured in the same run: ``python -m stress peers``.

One file per peer: a program that puts messages into that queue and runs its workers, in the environment of that queue,
configured as its own documentation says for many short tasks. The docstring of each says what was chosen and where that
is written. Every task does the same: `stress.bench.work.stamp`.
"""
