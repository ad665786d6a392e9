"""Across topics: every closed form beside a simulation that puts it to the test (chapter 3.6)."""
