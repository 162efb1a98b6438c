"""The interface of pydensecrf."""
