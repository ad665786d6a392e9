"""Replication whatever the protocol: state machines, clients and their sessions, primary-backup."""
