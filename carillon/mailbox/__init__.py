"""The development mailbox: takes every mail over real SMTP, delivers none, shows them all.

Its JSON has Mailpit's shapes (https://mailpit.axllent.org/docs/api-v1/), so that either can stand in.
"""
