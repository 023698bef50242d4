"""Routes: the public bodies under `/internal/v1`, and the hot look-ups of the workers."""
