"""Postgres: the table of prices, its schema, its readers, and a server for one's own machine."""
