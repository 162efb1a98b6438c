"""Joint training of both heads, from a dataset to the folder of a run."""
