"""A report as tasks: done once, kept, resumed, shared out."""
