"""The tables of `template_db` and the queries on them."""
