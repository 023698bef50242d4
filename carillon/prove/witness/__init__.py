"""The independent side of `carillon prove`: who sends, who receives, and who compares the two.

Nothing in here imports the product, so that no mistake of the product's can hide in its own judge.
"""
