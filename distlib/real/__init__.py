"""The same things for real: operating-system processes, sockets and clocks. Imports nothing by itself."""
