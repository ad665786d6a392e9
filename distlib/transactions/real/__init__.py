"""Two-phase commit and its alternatives over real databases: SQLite files and PostgreSQL."""
