"""Benchmarks of real runs: real processes, a real store, counts taken where they happen.

``python -m stress bench`` measures one setting; `stress.bench.rows` measures every row of the table in
``docs/benchmarks.md`` that a real run can answer. Nothing here asserts a time: a figure is printed with the lowest and
the highest of its repetitions, and whoever reads it knows which machine it was.
"""
