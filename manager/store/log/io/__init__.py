"""Logs that others keep: what speaks to them over the network."""
