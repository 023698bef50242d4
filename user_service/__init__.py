"""Accounts, tokens, API keys; recipients, their preferences and devices."""
