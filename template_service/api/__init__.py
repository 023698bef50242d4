"""Internal routes, `/internal/v1`; the gateway offers them to the public."""
