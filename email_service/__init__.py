"""The email channel: delivers notifications over SMTP."""
