"""The broker's parts that decide without a server."""
