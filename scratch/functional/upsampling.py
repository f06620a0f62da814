"""Upsampling."""

__all__: list[str] = []
