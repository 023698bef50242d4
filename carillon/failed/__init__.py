"""`carillon failed`: find, understand and mend what failed, in a terminal, over the public API."""
