"""Mail as bytes: addresses, headers, bodies and the whole message. Pure."""
