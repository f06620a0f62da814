"""The report in a real Chromium, without a network: ``make browser``."""

import pytest
from test_lesson_page import browser  # noqa: F401

from reports import cli

pytestmark = pytest.mark.browser

# For each figure: its name, its width, how large 9 points are, and the words that leave it sideways.
FIGURES = """() => [...document.querySelectorAll("figure svg")].map(svg => {
  const box = svg.getBoundingClientRect();
  const outside = [...svg.querySelectorAll("text")].filter(text => {
    const {left, right} = text.getBoundingClientRect();
    return left < box.left - 2 || right > box.right + 2;
  });
  return {
    name: svg.getAttribute("aria-label"), left: box.left, right: box.right,
    words: 9 * box.width / svg.viewBox.baseVal.width, outside: outside.map(text => text.textContent),
  };
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    assert cli.main(["report", "--quick", "--out", str(out)]) == 0
    return (out / "report.html").as_uri()


@pytest.fixture
def opened(browser, report):  # noqa: F811
    contexts, complaints, requests = [], [], []

    def open_page(width=1200, scheme="light"):
        options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        contexts.append(browser.new_context(offline=True, locale="en-GB", **options))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(report)
        return tab

    yield open_page
    assert complaints == []
    assert all(each == report or each.startswith("data:image/png;base64,") for each in requests)
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "abreast"), [(320, 1), (390, 1), (768, 1), (1200, 2)])
def test_every_figure_is_whole_and_its_words_can_be_read(opened, width, abreast):
    tab = opened(width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    drawn = tab.evaluate(FIGURES)
    assert len(drawn) >= 14
    for each in drawn:
        assert 0 <= each["left"] < each["right"] <= width, each
        assert each["outside"] == [], each
        assert each["words"] >= (10 if width >= 390 else 8), each
    assert len({round(each["left"]) for each in drawn}) == abreast


@pytest.mark.parametrize(("scheme", "blue"), [("light", "rgb(0, 114, 178)"), ("dark", "rgb(86, 180, 233)")])
def test_the_blue_of_the_figures_is_light_in_the_dark(opened, scheme, blue):
    tab = opened(scheme=scheme)
    colours = """kind => [...new Set([...document.querySelectorAll(`[style*="${kind}: #0072b2"]`)].map(
      each => getComputedStyle(each)[kind]))]"""
    assert tab.evaluate(colours, "stroke") == tab.evaluate(colours, "fill") == [blue]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_flaw_that_axe_knows(opened, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(opened(scheme=scheme))
    assert found.violations_count == 0, found.generate_report()
