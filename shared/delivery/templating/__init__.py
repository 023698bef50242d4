"""Templates that strangers may write: Jinja2, cut down and metered.

`source` reads and checks a template, `sandbox` runs it, `meter` bounds what it may cost, `filters` are
what it may use, `variables` finds what it needs, and `schema` checks what it is given.
"""
