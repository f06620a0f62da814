"""The lesson in a real Chromium, without a network: ``make browser``."""

import copy
import shutil

import pytest

from reports.lesson import page
from reports.lesson.scenes import scenes

TITLES = {scene.name: scene.title for scene in scenes()}

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
        self.context = browser.new_context(offline=True, **{"locale": "en-GB", **options})
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

    def open_page(shown=traces, **options):
        path = tmp_path / "lesson.html"
        path.write_text(page.render(shown), encoding="utf-8")
        made.append(Opened(browser, path, options))
        return made[-1]

    yield open_page
    for each in made:
        assert each.complaints == []
        assert all(request.startswith(each.address) for request in each.requests)
        each.context.close()


def steps_of(shown):
    return len(shown["steps"]) + (len(shown["learning"]["torch"]["shown"]) if shown["learning"] else 0)


@pytest.mark.parametrize("scene", TITLES)
def test_every_scene_is_stepped_through_by_the_keyboard(opened, traces, scene):
    shown = next(each for each in traces["scenes"] if each["name"] == scene)
    tab = opened().go(scene)
    last = steps_of(shown)
    for number in range(1, last + 1):
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text("#where").startswith(f"Step {number} / {last}: ")
        assert tab.inner_text("#why")
        assert tab.get_attribute("#scrubber", "aria-valuetext") == tab.inner_text("#where")
        if number <= len(shown["steps"]):
            step = shown["steps"][number - 1]
            verdict = "The two sides agree, as far as rounding allows."
            if (scene, step["phase"], step["tensor"]) == ("kink", "backward", "x"):
                verdict += " The numeric derivative is another one: here is a kink."
            assert tab.inner_text("#verdict") == verdict
            assert tab.locator("#compare tbody tr").count() == len(step["entries"])
            assert tab.locator("#formula math").count() == 2
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#where").startswith(f"Step {last} / ")
    tab.keyboard.press("Home")
    assert tab.inner_text("#where").startswith("Step 0 / ")
    assert tab.is_visible("#intro")
    tab.keyboard.press("End")
    assert tab.evaluate("location.hash") == f"#scene={scene}&step={last}"


# The texts of the graph that touch another, or the border of their node.
CROWDED = """() => [...document.querySelectorAll("#graph g")].flatMap((node) => {
  const frame = node.querySelector("rect").getBBox();
  const texts = [...node.querySelectorAll("text")].filter((text) => text.textContent);
  const found = texts.map((text) => ({ name: text.textContent, box: text.getBBox() }));
  const leaves = ({ box }) => box.x < frame.x + 4 || box.x + box.width > frame.x + frame.width - 4;
  const middle = (box) => box.y + box.height / 2;
  const touch = (box, other) => box.x < other.x + other.width + 1 && other.x < box.x + box.width + 1
    && Math.abs(middle(box) - middle(other)) < 8;
  const pairs = found.flatMap((one, k) => found.slice(k + 1).map((other) => [one, other]));
  return [...found.filter(leaves), ...pairs.filter(([one, other]) => touch(one.box, other.box))];
})"""


@pytest.mark.parametrize("scene", TITLES)
def test_in_the_graph_no_text_touches_another(opened, traces, scene):
    shown = next(each for each in traces["scenes"] if each["name"] == scene)
    tab = opened().go(scene, len(shown["steps"]))
    for number in range(len(shown["faults"]) + 1):
        tab.select_option("#fault", index=number)
        assert tab.evaluate(CROWDED) == []


def test_gradients_are_blank_until_they_are_reached(opened, traces):
    filled = []
    for step in (5, 6, 18):
        tab = opened().go("mazur", step)
        filled.append(sum(bool(each.text_content()) for each in tab.locator("#graph .gradient").all()))
    assert filled == [1, 2, 10]


def test_one_changed_number_is_marked(opened, traces):
    shown = copy.deepcopy(traces)
    mazur = next(each for each in shown["scenes"] if each["name"] == "mazur")
    mazur["tensors"]["W2"]["gradient"]["numpy"][2] *= 1 + 1e-9
    step = next(
        k
        for k, each in enumerate(mazur["steps"], 1)
        if each["phase"] == "backward" and each["tensor"] == "W2"
    )
    tab = opened(shown).go("mazur", step)
    assert tab.inner_text("#verdict") == (
        "The two sides differ in 1 of 4 entries. The numeric derivative sides with PyTorch: NumPy is wrong."
    )
    assert tab.locator("#compare tr.wrong th").all_inner_texts() == ["[1, 0]"]
    assert tab.locator("#tensors td.wrong").count() == 1
    assert tab.inner_text("#formula .bad").endswith("✗")
    assert tab.locator("#graph .name.wrong").all_text_contents() == ["W2 ✗"]


@pytest.mark.parametrize("scene", TITLES)
def test_every_mistake_is_switched_on_and_its_first_wrong_number_found(opened, traces, scene):
    shown = next(each for each in traces["scenes"] if each["name"] == scene)
    tab = opened().go(scene)
    for number, fault in enumerate(shown["faults"], 1):
        tab.select_option("#fault", label=fault["name"])
        assert fault["name"] in tab.inner_text("#broken pre")
        tab.click("#broken button")
        step = shown["steps"][int(tab.inner_text("#where").split()[1]) - 1]
        assert step["node"] == fault["node"]
        assert tab.locator("#compare tr.wrong.chosen").count() == 1
        assert f"✗ {fault['name']}" in tab.inner_text("#code h3 >> nth=0")
        assert tab.evaluate("location.hash").endswith(f"&break={number}")
        if step["phase"] == "backward":
            assert tab.inner_text("#verdict").endswith(
                "sides with PyTorch: NumPy is wrong." if scene != "kink" else "entries."
            )
    tab.reload()
    assert tab.inner_text("#broken h2") == f"✗ {fault['name']}"


def test_a_right_backward_of_another_forward_is_told_from_a_wrong_one(opened):
    tab = opened().go("batch_norm", 9)
    tab.select_option("#fault", label="the variance is divided by M - 1 instead of M")
    assert tab.inner_text("#verdict").endswith("its backward is right, its forward is another function.")


def test_the_loss_curve_grows_with_the_steps_from_both_sides(opened, traces):
    shown = next(each for each in traces["scenes"] if each["name"] == "learning")
    tab = opened().go("learning", len(shown["steps"]))
    for number in (1, 2):
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text("#where").endswith(f"Repeat: {number * 25} updates")
        for side in ("numpy", "torch"):
            points = tab.get_attribute(f"#tensors polyline.{side}", "points")
            assert len(points.split()) == number * 25
        assert tab.locator("#compare tbody tr").count() == 5
    tab.select_option("#fault", label="the derivative is taken at the input instead of the output")
    tab.keyboard.press("End")
    assert "NumPy: no number from update" in tab.inner_text("#tensors figcaption")
    assert tab.inner_text("#compare tbody td >> nth=0") == "✗"


def test_it_plays_and_repeating_is_slow_where_motion_is_not_welcome(opened):
    for motion, moved in (("no-preference", True), ("reduce", False)):
        tab = opened(reduced_motion=motion).go("learning", 21)
        tab.keyboard.press("Space")
        assert tab.inner_text("#play") == "Pause"
        tab.wait_for_timeout(1000)
        assert (tab.input_value("#jump") != "21") == moved
        tab.keyboard.press("Space")
        assert tab.inner_text("#play") == "Play"


def test_jump_and_graph_go_to_a_step_and_keep_the_focus(opened):
    tab = opened().go("mazur")
    tab.select_option("#jump", label="5 / 18 Forward: L")
    assert tab.inner_text("#where") == "Step 5 / 18: Forward: L"
    tab.focus("#graph [data-node=z1]")
    tab.keyboard.press("Space")
    assert tab.inner_text("#where") == "Step 1 / 18: Forward: z1"
    assert tab.evaluate("document.activeElement.dataset.node") == "z1"
    shown = tab.get_attribute("#graph [data-node=z1]", "aria-label")
    assert shown == "z1 Linear 0.38 1×2: Step 1, Forward: z1"
    assert tab.inner_text("#play") == "Play"


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
    tab = opened().go("mazur", 1)
    tab.check("#predict")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("ArrowRight")
    assert "0.5933" not in tab.inner_text("main")
    tab.keyboard.type("0.7")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#answer") == "Not quite: it is 0.5933."
    assert "0.5933" in tab.inner_text("#compare")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.type("a half")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#answer").startswith("This is not a number.")
    assert "1.106" not in tab.inner_text("main")
    tab.fill("#number", "")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#answer") == "It is 1.106."


@pytest.mark.parametrize(
    ("guess", "right"),
    [
        ("0.5933", True),
        ("0.593", True),
        ("0.59", True),
        ("0,59", True),
        (".6", True),
        ("593/1000", True),
        ("5.9e-1", True),
        ("0.58", False),
        ("0.5", False),
        ("1", False),
        ("−0.59", False),
    ],
)
def test_a_guess_may_be_rounded(opened, guess, right):
    tab = opened().go("mazur", 2)
    tab.check("#predict")
    tab.fill("#number", guess)
    tab.press("#number", "Enter")
    assert tab.inner_text("#answer") == ("Right: 0.5933." if right else "Not quite: it is 0.5933.")


def test_all_digits_and_chinese(opened):
    tab = opened().go("mazur", 2)
    tab.check("#full")
    assert "0.5932699921071872" in tab.inner_text("#compare")
    assert "0.5932699921071872" in tab.get_attribute("#tensors td.chosen", "aria-label")
    tab.select_option("#language", "zh")
    assert tab.inner_text("h1") == "反向传播：一步一步，两个框架"
    assert tab.inner_text("#where") == "步骤 2 / 18：前向：a1"
    assert "漏了平方求导的因子 2" in tab.inner_text("#fault")
    assert tab.evaluate("document.documentElement.lang") == "zh-Hans"
    assert tab.evaluate("location.hash").endswith("&language=zh")
    tab.reload()
    assert tab.inner_text("h1") == "反向传播：一步一步，两个框架"


@pytest.mark.parametrize(
    "options",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}, {"locale": "zh-CN"}],
    ids=["light", "dark", "narrow", "chinese"],
)
@pytest.mark.parametrize(
    ("scene", "step"), [("xor", 0), ("mazur", 6), ("batch_norm", 9), ("convolution", 6), ("learning", 99)]
)
def test_nothing_bars_the_way_for_screen_readers(opened, options, scene, step):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(**options).go(scene, step)
    for chosen in (-1, 0):
        tab.select_option("#fault", str(chosen))
        found = axe.run(tab)
        assert found.violations_count == 0, found.generate_report()
        if options.get("viewport"):
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_prints_a_sheet_with_blanks(opened):
    tab = opened().go("xor")
    tab.emulate_media(media="print")
    assert tab.is_visible("#sheet")
    assert tab.is_hidden("main")
    assert tab.locator("#sheet > .pieces caption").all_text_contents() == ["x", "W1", "b1", "W2", "b2", "t"]
    assert tab.locator("#sheet article").count() == 14
    assert all(text == "" for text in tab.locator("#sheet article td").all_inner_texts())


def test_the_sheet_tells_what_was_drawn_at_random(opened):
    tab = opened().go("learning")
    tab.emulate_media(media="print")
    shown = [text for text in tab.locator("#sheet article td").all_inner_texts() if text]
    assert shown == ["1", "3", "2", *"011110", *"101"]
