"""Servers that run as our own children: PostgreSQL, Redis and, for tests, RabbitMQ."""
