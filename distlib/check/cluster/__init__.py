"""Clusters of real nodes as models: explored, replayed as traces, made smaller, kept as files."""
