"""A result in, a plotly figure out: what every chapter shows. A figure sees a trace or a data frame, never a simulator."""
