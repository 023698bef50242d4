"""What every HTTP service is wrapped in: problems, correlation ids, body limits, health, metrics."""
