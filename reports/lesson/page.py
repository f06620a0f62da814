"""The lesson as one file that opens from disk: the trace, and what shows it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reports.lesson.mistakes import FAULTS
from reports.lesson.operations import reasons
from reports.lesson.scenes import scenes
from reports.lesson.texts import LANGUAGES, WHY, WORDS
from reports.lesson.trace import trace
from reports.runner.environment import version_of
from reports.runner.progress import progress
from scratch.files import write_whole

_HERE = Path(__file__).parent


def traces() -> dict[str, Any]:
    """All scenes, run now."""
    made = scenes()
    return {
        "scenes": [trace(scene) for scene in progress(made, "scenes")],
        "words": WORDS,
        "titles": {scene.name: scene.title for scene in made},
        "why": WHY | reasons(),
        "faults": FAULTS,
    }


def render(content: dict[str, Any]) -> str:
    """The page that shows these traces."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_HERE / "lesson.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("lesson.html.j2").render(
        hash=f"sha256-{digest}",
        style=Markup((_HERE / "lesson.css").read_text(encoding="utf-8")),
        script=Markup(script),
        trace=Markup(within_script(content)),
        words=WORDS,
        languages=LANGUAGES,
        made={
            # A checkout that is run where it lies is not installed.
            "version": version_of("gradmirror") or "not installed",
            "numpy": version_of("numpy"),
            "torch": version_of("torch"),
        },
    )


def within_script(content: dict[str, Any]) -> str:
    """The content as JSON, in which nothing ends the element or begins a comment in it.

    Raises:
        ValueError: a number is nan or infinite.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("</", "<\\/").replace("<!--", "\\u003c!--")


def write(path: Path) -> int:
    """Run the scenes, write the page, and give its size in bytes.

    Raises:
        OSError: the file cannot be written.
    """
    text = render(traces()).encode()
    write_whole(path, text)
    return len(text)
