"""`carillon bench`: how fast it is on this machine, and what a notification costs.

The load generator and the mail sink are processes of their own, so that their cost is never taken for ours.
"""
