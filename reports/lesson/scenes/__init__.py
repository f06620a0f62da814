"""The scenes of the lesson, a file each: its network, its numbers, its mistakes and its title."""

from importlib import import_module
from pkgutil import iter_modules

from reports.lesson.scene import Scene


def scenes() -> list[Scene]:
    """All of them, in the order of the lesson."""
    made = [import_module(f"{__name__}.{info.name}").scene() for info in iter_modules(__path__)]
    return sorted(made, key=lambda scene: scene.place)
