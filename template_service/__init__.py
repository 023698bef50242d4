"""The template service: templates, their versions and languages, and how they look when rendered."""
