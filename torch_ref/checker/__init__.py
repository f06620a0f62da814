"""Both sides and a numeric derivative beside each other: which side is wrong, where, and why."""
