"""Other queues, measured in the same run: ``python -m stress peers``.

One file per peer: a program that puts messages into that queue and runs its workers, in the environment of that queue,
configured as its own documentation advises for many short tasks. The docstring of each file names the choices and their
source. Every task does the same: `stress.bench.work.stamp`.
"""
