"""Errors that a user can act on: each message says what came, what was expected and the remedy."""

from __future__ import annotations


class Tag2MaskError(Exception):
    """Base of all errors caused by input; the command line prints the message and exits with 1."""


class DataError(Tag2MaskError):
    """A file or a collection cannot be used."""


class ConfigError(Tag2MaskError):
    """An option or a configuration file cannot be used."""


class WeightsError(Tag2MaskError):
    """Weights cannot be loaded or do not fit the network."""
