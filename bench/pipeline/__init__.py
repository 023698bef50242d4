"""A notification pipeline of the usual kind, for comparison. Frozen: see ../README.md."""
