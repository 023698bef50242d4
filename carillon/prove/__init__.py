"""`carillon prove`: the whole system under load and under faults, and a table of what came of it all."""
