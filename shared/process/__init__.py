"""What a process needs whatever it does: settings, logs, metrics, time, identifiers, background tasks."""
