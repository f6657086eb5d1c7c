"""Deliberate bugs, by the part of the core that they spoil; `mutants` has them in a table."""
