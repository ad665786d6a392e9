"""Simulated worlds that run the protocols and policies in virtual time."""
