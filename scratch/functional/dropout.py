"""Dropout: elements, or whole channels, are left out at random."""

__all__: list[str] = []
