"""Functions that move numbers and compute none: reshaping, shuffles."""

__all__: list[str] = []
