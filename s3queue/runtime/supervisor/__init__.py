"""The supervisor process: its loop, its children, and why they died."""

from s3queue.io.folder import temporary

# `multiprocess` cannot even be imported without one, and would say less.
temporary()
