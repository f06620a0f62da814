"""The lesson in a real Chromium, without a network: ``make browser``."""

import copy
import shutil

import pytest

from reports.lesson import page
from reports.lesson.texts import SCENES as TITLES

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def traces():
    return page.traces()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


class Opened:
    """The page in a tab without a network, and what it complained of or asked for."""

    def __init__(self, browser, path, options):
        self.context = browser.new_context(offline=True, locale="en-GB", **options)
        self.tab = self.context.new_page()
        self.complaints, self.requests = [], []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()

    def go(self, scene="xor", step=0):
        self.tab.goto(f"{self.address}#scene={scene}&step={step}")
        self.tab.reload()
        return self.tab


@pytest.fixture
def opened(browser, traces, tmp_path):
    made = []

    def open_page(told=traces, **options):
        path = tmp_path / "lesson.html"
        path.write_text(page.render(told), encoding="utf-8")
        made.append(Opened(browser, path, options))
        return made[-1]

    yield open_page
    for each in made:
        assert each.complaints == []
        assert all(request.startswith(each.address) for request in each.requests)
        each.context.close()


@pytest.mark.parametrize("scene", TITLES)
def test_every_scene_is_stepped_through_by_the_keyboard(opened, traces, scene):
    told = next(each for each in traces["scenes"] if each["name"] == scene)
    tab = opened().go(scene)
    last = len(told["steps"]) + bool(told["learning"])
    for number in range(1, last + 1):
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text("#where").startswith(f"Step {number} / {last}: ")
        if number <= len(told["steps"]):
            assert tab.inner_text("#verdict") == "The two sides agree, as far as rounding allows."
            rows = tab.locator("#compare tbody tr").count()
            assert rows == len(told["steps"][number - 1]["entries"])
            assert tab.locator("#formula math").count() == 2
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#where").startswith(f"Step {last} / ")
    tab.keyboard.press("Home")
    assert tab.inner_text("#where").startswith("Step 0 / ")
    tab.keyboard.press("End")
    assert tab.evaluate("location.hash") == f"#scene={scene}&step={last}"


def test_gradients_are_blank_until_they_are_reached(opened, traces):
    filled = []
    for step in (5, 6, 18):
        tab = opened().go("mazur", step)
        filled.append(sum(bool(each.text_content()) for each in tab.locator("#graph .gradient").all()))
    assert filled == [1, 2, 10]


def test_one_changed_number_is_marked(opened, traces):
    told = copy.deepcopy(traces)
    mazur = next(each for each in told["scenes"] if each["name"] == "mazur")
    mazur["tensors"]["W2"]["gradient"]["numpy"][2] *= 1 + 1e-9
    step = next(
        k
        for k, each in enumerate(mazur["steps"], 1)
        if each["phase"] == "backward" and each["tensor"] == "W2"
    )
    tab = opened(told).go("mazur", step)
    assert tab.inner_text("#verdict") == "The two sides differ in 1 entries."
    assert tab.locator("#compare tr.wrong th").all_inner_texts() == ["[1, 0]"]
    assert tab.locator("#tensors td.wrong").count() == 1


def test_a_mistake_is_switched_on_and_its_first_wrong_number_found(opened):
    tab = opened().go("attention")
    tab.select_option("#fault", label="the Jacobian of the softmax is only its diagonal")
    assert "the Jacobian of the softmax is only its diagonal" in tab.inner_text("#broken pre")
    tab.click("#broken button")
    assert tab.inner_text("#where").endswith("Backward S")
    assert tab.locator("#compare tr.wrong").count() > 0


def test_an_entry_lights_the_row_and_the_column_that_made_it(opened):
    tab = opened().go("batch", 1)
    tab.click("#tensors table.result td >> nth=4")
    tables = tab.locator("#tensors table")
    lit = [tables.nth(k).locator("td.lit").count() for k in range(tables.count())]
    assert lit == [0, 2, 2, 1]
    assert tab.inner_text("#formula h3 >> nth=2") == "in numbers: z1[1, 1]"
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#formula h3 >> nth=2") == "in numbers: z1[1, 2]"


def test_predict_then_reveal(opened):
    tab = opened().go("mazur", 2)
    tab.check("#predict")
    assert "0.5933" not in tab.inner_text("main")
    tab.fill("#number", "0.7")
    tab.press("#number", "Enter")
    assert tab.inner_text("#answer") == "Not quite: it is 0.5933."
    assert "0.5933" in tab.inner_text("#compare")
    tab.keyboard.press("Escape")
    tab.click("#next")
    tab.fill("#number", "1.106")
    tab.press("#number", "Enter")
    assert tab.inner_text("#answer") == "Right."


def test_all_digits_and_chinese(opened):
    tab = opened().go("mazur", 2)
    tab.check("#full")
    assert "0.5932699921071872" in tab.inner_text("#compare")
    tab.select_option("#language", "zh")
    assert tab.inner_text("h1") == "反向传播：一步一步，两个框架"
    assert tab.evaluate("document.documentElement.lang") == "zh-Hans"


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}]
)
@pytest.mark.parametrize(("scene", "step"), [("mazur", 6), ("learning", 99)])
def test_nothing_bars_the_way_for_screen_readers(opened, options, scene, step):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(**options).go(scene, step)
    found = axe.run(tab)
    assert found.violations_count == 0, found.generate_report()
    if options.get("viewport"):
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_prints_a_sheet_with_blanks(opened, traces):
    tab = opened().go("xor")
    tab.emulate_media(media="print")
    assert tab.is_visible("#sheet")
    assert tab.is_hidden("main")
    assert tab.locator("#sheet article").count() == 14
    assert all(text == "" for text in tab.locator("#sheet td").all_inner_texts())
