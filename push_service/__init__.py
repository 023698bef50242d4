"""The push channel: delivers notifications to devices."""
