"""Pooling: each window becomes one number."""

__all__: list[str] = []
