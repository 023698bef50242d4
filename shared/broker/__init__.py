"""The message broker: one small interface, and the transports behind it."""
