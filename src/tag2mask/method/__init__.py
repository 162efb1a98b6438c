"""The method after the network."""
