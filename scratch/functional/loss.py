"""Losses, each without its reduction."""

__all__: list[str] = []
