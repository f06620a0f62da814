"""A scene that goes on: mini-batch, gradient, update, repeat, on each side by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import scratch
from reports.lesson.operations.mini_batch import Draw
from reports.lesson.run import Run, TorchRun, flat
from reports.lesson.scene import Scene


def learning(scene: Scene) -> dict[str, Any]:
    """Both sides go on, each by itself: it draws a mini-batch, finds the gradient, updates, and repeats."""
    draw = scene.operations[0].module
    assert scene.learning is not None
    assert isinstance(draw, Draw)
    generator = torch.Generator().manual_seed(draw.seed)
    ours = numpy_learns(scene)
    theirs = _learns(
        scene,
        lambda: torch.randperm(draw.samples, generator=generator)[: draw.size].numpy(),
        lambda given, fixed: TorchRun(scene, given, fixed),
    )
    return {
        "every": scene.learning.every,
        # Rounding adds up from step to step, and so much is far above it and far below what the page shows.
        "allowed": 1e-9,
        "samples": scene.tensors[scene.learning.data["x"]].tolist(),
        "targets": scene.tensors[scene.learning.data["t"]].tolist(),
        "numpy": ours,
        "torch": theirs,
    }


def numpy_learns(scene: Scene, wrong: tuple[str, str] | None = None) -> dict[str, Any]:
    """With a fault the loss may grow beyond all numbers; the page says so in place of a warning."""
    draw = scene.operations[0].module
    assert isinstance(draw, Draw)
    generator = scratch.Generator().manual_seed(draw.seed)
    run = Run(scene, wrong)

    def passes(given: dict[str, np.ndarray], fixed: dict[str, np.ndarray]) -> Run:
        run.forward(given, fixed)
        run.backward()
        return run

    def drawn() -> np.ndarray:
        return scratch.randperm(draw.samples, generator=generator)[: draw.size]

    with np.errstate(over="ignore", invalid="ignore"):
        return _learns(scene, drawn, passes)


def _learns(
    scene: Scene,
    draw: Callable[[], np.ndarray],
    passes: Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], Run | TorchRun],
) -> dict[str, Any]:
    """After each update the loss of all samples, while it is a number; at times their probability of a 1."""
    assert scene.learning is not None
    assert scene.lr is not None
    now = dict(scene.tensors)
    samples = {name: now[data] for name, data in scene.learning.data.items()}
    losses, shown = [], []
    for update in range(1, scene.learning.updates + 1):
        done = passes(now, {"i": draw()})
        now |= {name: done.updated(name, scene.lr) for name in scene.parameters}
        after = passes(now, {"i": np.arange(len(samples["t"])), **samples}).values
        if not np.isfinite(after["L"]):
            break
        losses.append(float(after["L"]))
        if update % scene.learning.every == 0:
            shown.append(flat(np.exp(after[scene.learning.shown])[:, 1]))
    return {"losses": losses, "shown": shown}
