"""Mails handed to an SMTP server with and without Carillon's guarantees; see ../README.md."""
