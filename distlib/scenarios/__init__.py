"""Situations of the chapters: frozen parameters in, result out."""
