"""report.html, report.md, the figures, and the summary on the terminal: the same findings, four times.

Each walks the sections that the report has.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jinja2
import matplotlib
from markupsafe import Markup

from reports import sections
from reports.page.style import STYLE, is_panel, svg
from reports.page.text import markdown, short, text_columns
from reports.runner.findings import Findings
from reports.runner.results import Results
from reports.runner.schema import schema
from reports.sections.section import Headline, Section
from scratch.files import write_whole


class Panel(NamedTuple):
    """A drawing as SVG: its figure, and the name of its file."""

    figure: str
    name: str
    svg: str


class Rendered(NamedTuple):
    """A section as text for a page: its name, its heading and what is below it."""

    name: str
    heading: str
    text: str


def write(results: Results) -> None:
    """Write report.html, report.md, figures/*.svg and results.schema.json into the folder of the results.

    Raises:
        OSError: a file cannot be written.
    """
    write_whole(results.out / "results.schema.json", (json.dumps(schema(), indent=1) + "\n").encode())
    html, plain = _environment(autoescape=True), _environment(autoescape=False)
    page, text = [], []
    for section, found in _each(results):
        heading = f"{section.number}. {section.title}"
        values = _context(results, section, found)
        figures = {"figures": _drawn(results, section, found)}
        body = html.from_string(section.html).render(values | figures)
        page.append(Rendered(section.name, f"{heading}: {section.question}", Markup(body.strip())))
        text.append(
            Rendered(section.name, heading, plain.from_string(section.markdown).render(values).strip())
        )
    content = {
        "results": results,
        "verdict": verdict(results),
        "headlines": headlines(results),
        "facts": facts(results.environment) | {"Precision": _precision(results.options)},
        "method": method(results),
    }
    for name, environment, rendered in (("report.html", html, page), ("report.md", plain, text)):
        whole = environment.get_template(f"{name}.j2").render(content | {"sections": rendered})
        write_whole(results.out / name, whole.encode())


def _drawn(results: Results, section: Section, found: Findings) -> dict[str, list[Markup]]:
    """The panels of each figure, each also written into a file."""
    drawn: dict[str, list[Markup]] = {name: [] for name in section.figures(found.tables)}
    for panel in draw(section, found):
        write_whole(results.out / "figures" / f"{panel.name}.svg", panel.svg.encode())
        drawn[panel.figure].append(Markup(panel.svg))
    return drawn


def _each(results: Results) -> Iterator[tuple[Section, Findings]]:
    known = sections.every()
    return ((known[name], found) for name, found in results.sections.items())


def _environment(autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports.page"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": markdown, "short": short, "zip": zip}
    environment.globals |= {"tone": _tone, "text_columns": text_columns}
    if autoescape:
        macros = environment.get_template("macros.html.j2").module
        environment.globals |= {"grid": macros.grid, "drawing": macros.drawing}  # type: ignore[attr-defined]
    return environment


def _context(results: Results, section: Section, found: Findings) -> dict[str, Any]:
    """The values that the texts of a section see."""
    return {
        "options": results.options,
        "environment": results.environment,
        "tables": found.tables,
        "samples": found.samples,
        "shown": section.shown(found.tables),
    }


def draw(section: Section, found: Findings) -> Iterator[Panel]:
    """All panels of a section, figure by figure; the same tables give the same bytes.

    A figure is made of panels, one for each network or question. They stand beside each other where there is
    room, and below each other on a phone.
    """
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        for figure, drawings in section.figures(found.tables).items():
            for drawing in drawings:
                yield Panel(figure, drawing.name, svg(*drawing))


def _tone(cell: str) -> str:
    """The class of a verdict on the page."""
    if cell == "agree":
        return "good"
    return "plain" if any(cell in section.neutral for section in sections.every().values()) else "bad"


def remove(results: Results) -> None:
    """Remove the files that ``write`` wrote for an earlier run, lest they be taken for this one's."""
    names = ("report.html", "report.md", "results.schema.json")
    for path in (*(results.out / name for name in names), *results.out.glob("figures/*.svg")):
        if path.suffix != ".svg" or is_panel(path.read_text(encoding="utf-8", errors="replace")):
            path.unlink(missing_ok=True)


def verdict(results: Results) -> str:
    """One sentence: whether the two sides agree, and if not, in what they do not."""
    if results.agrees:
        agreed = [section.agreement(found.tables) for section, found in _each(results)]
        return f"The two sides agree: {', and '.join(filter(None, agreed))}."
    apart = [each for section, found in _each(results) for each in section.disagreements(found.tables)]
    more = [f"{len(apart) - 4} things more"] if len(apart) > 5 else apart[4:]
    return f"The two sides disagree: {', '.join(apart[:4] + more)}."


def headlines(results: Results) -> list[Headline]:
    """The figures for the first screen, the main ones first."""
    found = [each for section, found in _each(results) for each in section.headlines(found.tables)]
    return sorted(found, key=lambda headline: not headline.main)


def method(results: Results) -> dict[str, str]:
    """The method: paragraphs by title, those of each section and two for the whole report."""
    environment = _environment(autoescape=False)
    texts = [section.method for section, _ in _each(results)]
    whole = "\n\n".join([*texts, _METHOD])
    text = environment.from_string(whole).render(options=results.options)
    return dict(point.split(": ", 1) for point in re.split(r"\n{2,}", text.strip()))


_METHOD = """
Threads: The same number for NumPy's BLAS, and for PyTorch's OpenMP and MKL. It stands above, with the
processor that OpenBLAS has chosen its kernels for.

Files: results.json has all raw samples, the seconds of each section and all options; results.schema.json
beside it says what
each column means.
"""


def facts(environment: dict[str, Any]) -> dict[str, str]:
    """The environment in a few lines."""
    threads, load = environment["threads"], environment["load"]
    versions = {"Python": environment["python"], **environment["packages"]}
    pools = ", ".join(
        " ".join(filter(None, [*map(pool.get, _POOL), f"× {pool['num_threads']}"]))
        for pool in threads["pools"]
    )
    return {
        "Processor": f"{environment['cpu']}, {environment['cores']} cores",
        "Load at the start": "unknown" if load is None else " ".join(f"{each:.2f}" for each in load),
        "Threads": f"PyTorch × {threads['torch']}, {pools}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "Random numbers": _random_numbers(environment["kernel"]),
        "Commit": environment["commit"] or "not a checkout",
        "Started": environment["started"],
    }


def _random_numbers(kernel: str | None) -> str:
    if kernel is None:
        copied = "so NumPy's side started from copies of PyTorch's weights"
        return f"PyTorch draws here as no kernel of scratch.random does, {copied}"
    return f"from one seed the same on both sides, by the kernel {kernel}"


# The facts shown of a library with threads; the architecture is that of the kernels it has chosen.
_POOL = ("prefix", "version", "architecture")


def _precision(options: dict[str, Any]) -> str:
    return f"{options['dtype']} for training and timing; gradients in float64 and float32"


def summary(results: Results) -> str:
    """The findings for the terminal: short tables, and where the files are."""
    tables = [each for section, found in _each(results) for each in section.summary(found.tables).items()]
    shown = [f"{title}\n\n{markdown(table, 'simple')}" for title, table in tables]
    names = ("report.html", "report.md", "results.json", "results.schema.json", "results.csv", "figures/")
    files = "\n".join(f"  {results.out / name}" for name in names)
    return "\n\n".join([*shown, verdict(results), f"Written:\n{files}"])
