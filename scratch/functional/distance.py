"""Distances between vectors."""

__all__: list[str] = []
