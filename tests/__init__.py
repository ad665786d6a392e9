"""The tests. A package, because one of our dependencies installs a top-level ``tests`` too."""
