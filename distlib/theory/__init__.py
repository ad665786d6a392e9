"""Closed forms of the field, each with its source and the domain in which it holds."""
