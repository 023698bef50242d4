"""The providers that take mail: one module or folder each."""
