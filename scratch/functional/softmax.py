"""Softmax and its relatives: functions that mix the elements along an axis."""

__all__: list[str] = []
