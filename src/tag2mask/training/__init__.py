"""Joint training of both streams, from a dataset to the folder of a run."""
