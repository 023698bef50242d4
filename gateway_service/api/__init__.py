"""The public routes, under /api/v1; nothing internal is reachable through them."""
