"""Every scenario, by what is done to the system."""
