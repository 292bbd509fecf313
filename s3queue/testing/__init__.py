"""Tools for testing against s3queue: store conformance checks, servers to run them on.

Nothing here is imported by the queue itself.
"""
