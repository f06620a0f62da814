"""Both sides and a numeric derivative beside each other: who is wrong, where, and why."""
