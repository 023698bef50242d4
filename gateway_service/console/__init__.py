"""The operator's pages at /console: rendered here, by the same domain that answers the API."""
