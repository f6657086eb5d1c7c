"""A deterministic world that tries bad days: the real core, the real order of effects, fake ports.

One seed is one history, byte for byte, on every machine and Python version: all chance comes from
`dice`, all time from the world's queue, nothing from floats, hashes of text, or the outside.
"""
