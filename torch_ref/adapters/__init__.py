"""People's code as it comes: objects, pairs of functions, and where they keep their arrays."""
