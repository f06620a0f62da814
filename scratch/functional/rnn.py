"""Recurrent layers, step by step."""

__all__: list[str] = []
