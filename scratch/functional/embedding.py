"""Tables of vectors, looked up by index."""

__all__: list[str] = []
