"""Typed HTTP clients of the services behind the gateway."""
