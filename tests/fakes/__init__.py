"""Servers for tests: real protocols over real connections, with faults to order."""
