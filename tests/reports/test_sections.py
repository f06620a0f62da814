"""A section is one class: whatever is done with a report walks the list of them."""

import pandas as pd
import pytest

from reports import sections
from reports.page import comparison, page
from reports.runner import environment, options, report, results, schema
from reports.runner.campaign import Planned
from reports.runner.findings import Findings, Rows
from reports.runner.loading import load
from reports.runner.plan import Plan
from reports.runner.results import Results
from reports.runner.tasks import Task
from reports.sections.section import (
    NUMBER,
    TEXT,
    Change,
    Changes,
    Column,
    Drawing,
    Headline,
    Section,
    Table,
)


def weigh() -> Rows:
    return Rows({"weights": pd.DataFrame({"fruit": ["apple & pear", "plum"], "grams": [150.0, 40.0]})})


class Weights(Section):
    name = "weights"
    number = 7
    title = "Weights"
    question = "how heavy?"
    about = "How heavy is fruit?"
    tables = (
        Table(
            "weights",
            "A row for each fruit.",
            ("fruit",),
            (Column("fruit", TEXT, "Its name."), Column("grams", NUMBER, "Its weight, in grams.")),
            item="fruit",
        ),
    )
    html = """
<p>Weighed {{ options.seeds }} times.</p>
{{ grid(shown.all, "In grams") }}
{{ drawing(figures.bars, "Bars") }}
"""
    markdown = "In grams.\n\n{{ shown.all|markdown }}"
    method = "Scales: Read off {{ options.seeds }} times."

    def tasks(self, plan: Plan) -> list[Task]:
        return [Task("fruit", weigh)]

    def conclude(self, rows: Rows, seed: int) -> Findings:
        return Findings(rows.tables, {}, agrees=True)

    def shown(self, tables):
        return {"all": tables["weights"].astype(str)}

    def figures(self, tables):
        def bars():
            from matplotlib.figure import Figure

            figure = Figure()
            figure.subplots().bar(*tables["weights"].T.to_numpy())
            yield Drawing("fruit", "The weights of fruit", figure)

        return {"bars": bars()}

    def headlines(self, tables):
        return [Headline("Heaviest", "150 g", "an apple", main=True)]

    def summary(self, tables):
        return {"Fruit": tables["weights"].astype(str)}

    def agreement(self, tables):
        return "in the weight of fruit"

    def compare(self, old, new, same_machine):
        both = self.paired(old, new, "weights")
        heavier = both[both["grams_new"] > both["grams_old"]]
        return Changes("Fruit", [Change(f"{fruit} is heavier", True) for fruit in heavier["fruit"]])


@pytest.fixture
def only_weights(monkeypatch):
    """A report of nothing but this section."""
    weights = {"weights": Weights()}
    monkeypatch.setattr(sections, "every", lambda: weights)
    for cached in (schema.schema, results.identifiers):
        cached.cache_clear()
    yield
    for cached in (schema.schema, results.identifiers):
        cached.cache_clear()


@pytest.fixture
def made(only_weights, tmp_path) -> Results:
    asked = options.chosen({"datasets": ["digits"]})
    (planned,) = report.plan(asked)
    assert isinstance(planned, Planned)
    found = planned.section.run(planned.tasks)
    made = Results(tmp_path, environment.describe([], 1), options.recorded(asked), {"weights": found})
    made.write()
    page.write(made)
    return made


def test_the_page_and_markdown_have_it(made):
    html, markdown = ((made.out / name).read_text() for name in ("report.html", "report.md"))
    assert '<section id="weights">\n<h2>7. Weights: how heavy?</h2>\n<p>Weighed 5 times.</p>' in html
    assert '<td class="text">apple &amp; pear</td>' in html
    assert (made.out / "figures" / "fruit.svg").read_text() in html
    assert "## 7. Weights\n\nIn grams.\n\n| fruit        |   grams |\n" in markdown
    assert "- Heaviest: **150 g** an apple" in markdown
    assert "- **Scales.** Read off 5 times." in markdown


def test_the_terminal_has_it(made):
    said = page.summary(made)
    assert said.startswith("Fruit\n\nfruit")
    assert "The two sides agree: in the weight of fruit." in said


def test_results_csv_has_its_numbers(made):
    assert (made.out / "results.csv").read_text().splitlines() == [
        "table,item,verdict,measure,value",
        "weights,apple & pear,,grams,150.0",
        "weights,plum,,grams,40.0",
    ]


def test_the_schema_and_loading_know_it(made):
    (row,) = [
        section["properties"]["tables"]["properties"]["weights"]["items"]
        for section in schema.schema()["properties"]["sections"]["properties"].values()
    ]
    assert row["properties"]["grams"] == {"type": "number", "description": "Its weight, in grams."}
    read = load(made.out / "results.json")
    pd.testing.assert_frame_equal(read.tables["weights"], made.tables["weights"], check_dtype=False)


def test_a_comparison_has_it(made):
    old = load(made.out / "results.json")
    made.tables["weights"].loc[1, "grams"] = 41.0
    verdicts, weights = comparison.compared(old, made)
    assert verdicts.changes == []
    assert weights.changes == [Change("plum is heavier", True)]


def test_every_section_says_all_that_a_report_asks_of_it():
    for name, section in sections.every().items():
        assert section.name == name
        for words in (section.title, section.question, section.about, section.html, section.markdown):
            assert words
        assert ": " in section.method
