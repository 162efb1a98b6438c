"""A method and the same less each of its parts."""
