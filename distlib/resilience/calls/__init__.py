"""Services that call each other: a graph, the policies of its edges, faults, and an engine for them."""
