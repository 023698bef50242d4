"""The providers that take push notifications: one module or folder each."""
