"""Across protocols: abstract specifications, the inductive argument, histories, exercises and labs of chapter 3.5."""
