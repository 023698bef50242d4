"""The command line of Carillon: everything with one command, on one machine.

This package starts the services as processes (`python -m gateway_service`) and never imports them.
"""
