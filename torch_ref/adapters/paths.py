"""Attribute paths: get and set arrays nested inside an object, by names of attributes and keys of entries."""

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

Path = tuple[Any, ...]

ABSENT = object()


def entries(kept: Any) -> list[tuple[Any, Any]]:
    """The attributes or entries of an object, list, tuple or dict, by name or key."""
    if isinstance(kept, dict):
        return list(kept.items())
    if isinstance(kept, list | tuple):
        return list(enumerate(kept))
    if isinstance(kept, SimpleNamespace):
        return list(vars(kept).items())
    # A class, a module; or what is copied in a way of its own: an array, a logger.
    if isinstance(kept, type | ModuleType) or type(kept).__reduce__ is not object.__reduce__:
        return []
    # The attributes; with __slots__ in a second dict, and the first may be None.
    state = object.__getstate__(kept)
    states = state if isinstance(state, tuple) else (state,)
    return [entry for each in states if each for entry in each.items()]


def walk(kept: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything in ``kept`` and below; below an object only once, at its shortest path."""
    seen, level = {id(kept)}, [(path, kept)]
    while level:
        below = []
        for at, thing in level:
            for key, value in entries(thing):
                yield (*at, key), value
                if id(value) not in seen:
                    seen.add(id(value))
                    below.append(((*at, key), value))
        level = below


def get(kept: Any, path: Path) -> Any:
    """The value at ``path``, or ABSENT."""
    for key in path:
        try:
            kept = kept[key] if isinstance(kept, list | tuple | dict) else getattr(kept, key)
        except Exception:  # also from a property of people's
            return ABSENT
    return kept


def as_code(path: Path) -> str:
    """The path as written in code: layers[0].W."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def put(kept: Any, path: Path, value: Any) -> None:
    """Put ``value`` at ``path``; if it is ABSENT, remove what is there (None in a tuple)."""
    way, key = path[:-1], path[-1]
    owner = get(kept, way)
    if isinstance(owner, tuple):
        make = getattr(type(owner), "_make", tuple)  # a named one is made otherwise
        entry = None if value is ABSENT else value
        put(kept, way, make([*owner[:key], entry, *owner[key + 1 :]]))
    elif isinstance(owner, list | dict):
        if value is ABSENT:
            del owner[key]
        else:
            owner[key] = value
    elif value is ABSENT:
        delattr(owner, key)
    else:
        setattr(owner, key, value)
