"""A result in, a plotly figure out. A figure sees a trace or a data frame, never a simulator."""
