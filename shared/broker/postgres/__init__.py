"""PostgreSQL as a message broker, in a database of its own."""
