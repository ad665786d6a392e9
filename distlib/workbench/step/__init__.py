"""The Step lab: the reader is the network, the clock and the fate."""
