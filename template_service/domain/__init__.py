"""What may be done with templates, and what comes of it."""
