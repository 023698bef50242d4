"""The small pages of the development tools, without anything from elsewhere."""
