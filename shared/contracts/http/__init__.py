"""The public HTTP bodies: published by the gateway, served by the service behind it."""
