"""Adapters for timm's networks: how each is built, what goes in, and how its features become maps."""
