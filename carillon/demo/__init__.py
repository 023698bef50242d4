"""`carillon demo`: real templates, made-up people, and a verdict on every single message."""
