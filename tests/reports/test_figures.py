"""The figures, drawn from small tables made by hand: that they are whole, and show what the tables say."""

import base64
import io
import itertools
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import image, rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports import sections
from reports.page import page, style
from reports.runner.findings import Findings
from reports.sections import accuracy, gradients, timing

# All figures are drawn first, which takes seconds.
pytestmark = pytest.mark.long

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
PAIRS = ("NumPy − PyTorch", "NumPy − numeric", "PyTorch − numeric")
BINS = [("equal", 0.0, 0.0), ("0 to 1", 0.0, 1.0), ("1 to 10", 1.0, 10.0), ("more than 10", 10.0, np.nan)]
METHODS = ("backpropagation", "complex step", "central difference", "the book's loop")
GREYS = np.arange(16, dtype=np.uint8) * 17


def errors() -> pd.DataFrame:
    rows = [
        {"network": network, "dtype": dtype, "pair": pair, "bin": label, "low": low, "high": high, "count": n}
        for network in ("a", "b")
        for dtype in ("float64", "float32")
        for pair in PAIRS
        for (label, low, high), n in zip(BINS, (3, 2, 1, 0), strict=True)
    ]
    return pd.DataFrame(rows)


def growth(slope: float = 1.0) -> pd.DataFrame:
    """The book's loop by that power of the entries, gradcheck only of the smaller two."""
    rows = [
        {"network": str(n), "entries": n, "method": method, "seconds": 1e-6 * n**power}
        for n in (100, 1000, 10_000)
        for method, power in zip(METHODS, (0, 0.5, 0.5, slope), strict=True)
    ]
    checked = [
        {"network": str(n), "entries": n, "method": "torch.autograd.gradcheck", "seconds": 1e-5 * n}
        for n in (100, 1000)
    ]
    return pd.DataFrame(rows + checked)


def cost() -> pd.DataFrame:
    rows = growth().query("entries == 1000").reset_index(drop=True)
    return rows.assign(times_backpropagation=rows["seconds"] / rows["seconds"].min())


def epochs() -> pd.DataFrame:
    rows = pd.DataFrame({"epoch": range(4), "numpy_train_loss": [2.0, 1.0, 0.5, 0.25]})
    rows["torch_train_loss"] = rows["numpy_train_loss"] + [0, 1e-7, 0, 1e-6]
    for side in ("numpy", "torch"):
        rows[f"{side}_test_loss"] = rows[f"{side}_train_loss"]
    other = rows.assign(numpy_test_loss=rows["numpy_test_loss"] + 0.1)
    xor, a = rows.assign(network="XOR & <more>", batch=4, seed=3), other.assign(network="a", batch=9, seed=3)
    return pd.concat([xor, a, a.assign(batch=10), rows.assign(network="a", batch=9, seed=4)])


def confusion() -> pd.DataFrame:
    """The two sides differ once: label 2, which NumPy reads as 0 and PyTorch as 1."""
    cells = [(0, 0, 0, 50), (1, 1, 1, 40), (2, 2, 2, 30), (2, 0, 0, 4), (2, 0, 1, 1)]
    names = ["label", "predicted_numpy", "predicted_torch", "count"]
    return pd.DataFrame(cells, columns=names).assign(network="a", batch=9, seed=0)


def misread() -> pd.DataFrame:
    rows = pd.DataFrame({"index": [7, 2, 5], "label": 2, "numpy": 0, "torch": [1, 0, 0]})
    rows["pixels"] = [GREYS.tobytes().hex(), GREYS[::-1].tobytes().hex(), None]
    return rows.assign(network="a", batch=9, seed=0)


def drift_steps() -> pd.DataFrame:
    rows = pd.DataFrame({"step": range(5), "numpy_loss": 1.0, "torch_loss": 1.0, "allowed": 1e-13})
    rows = rows.assign(drift=1e-7, numpy_rounding=1e-7, torch_rounding=1e-7)
    rows["programs"] = [0, 0, 1e-16, 1e-16, 1e-15]
    return pd.concat([rows.assign(network="a", batch=9, optimizer=each) for each in ("SGD", "Adam")])


def faults() -> pd.DataFrame:
    rows = {"mistake": ["one", "two", "right code"], "tried": [3, 1, 40], "named": 0, "misnamed": 0}
    rows |= {"other function": [0, 1, 0]}
    return pd.DataFrame(rows | {"gradmirror": [3, 1, 0], "gradcheck": [1, 0, 0]})


def timed() -> pd.DataFrame:
    rows = pd.DataFrame({"phase": ["forward", "step", "step"], "ratio": [0.5, 2.0, 1.0]})
    rows["noise"] = [0.1, 1.5, 1.5]
    rows["pair"] = ["NumPy / PyTorch", "NumPy / PyTorch", "NumPy / NumPy"]
    rows = rows.assign(low=rows["ratio"] / 1.1, high=rows["ratio"] * 1.1)
    none = pd.DataFrame({"network": ["c"], "batch": [1], "verdict": ["not timed"]})
    return pd.concat([rows.assign(network="a", batch=4), rows.assign(network="b", batch=8), none])


def sweep() -> pd.DataFrame:
    """Against the batch size in one dtype, against the width in two."""
    rows = [("batch", n, 50, "float32", 1e-6 * n, 4e-6) for n in (1, 4, 16)]
    for dtype in ("float32", "float64"):
        rows += [("width", 100, n, dtype, 1e-5 * n, 2e-5 * n) for n in (10, 100)]
    names = ["vary", "batch", "width", "dtype", "numpy_seconds", "torch_seconds"]
    found = pd.DataFrame(rows, columns=names).assign(network="784-W-10")
    found["ratio"] = found["numpy_seconds"] / found["torch_seconds"]
    return found.assign(low=0.9 * found["ratio"], high=1.2 * found["ratio"])


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    made = (errors, cost, growth, epochs, confusion, misread, drift_steps, faults, sweep)
    return {make.__name__: make() for make in made} | {"timing": timed()}


def of_the_cpu(tables) -> Iterator[tuple[sections.Section, Findings]]:
    """The sections of a report that asks for no device, each with its tables."""
    for section in sections.every().values():
        own = {table.name: tables[table.name] for table in section.tables if table.name in tables}
        if section.name != "cuda":
            yield section, Findings(own, {}, True)


def panels_of(tables) -> list[page.Panel]:
    return [panel for section, found in of_the_cpu(tables) for panel in page.draw(section, found)]


@pytest.fixture(scope="module")
def panels(tables) -> list[page.Panel]:
    return panels_of(tables)


@pytest.fixture(scope="module")
def drawn(panels) -> dict[str, str]:
    return {panel.name: panel.svg for panel in panels}


def words(svg: str) -> list[str]:
    return ["".join(each.itertext()).strip() for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def only(draw, *tables) -> dict[str, Figure]:
    """The panels of one figure, not yet SVG."""
    with rc_context(style.STYLE):
        return {name: figure for name, _, figure in draw(*tables)}


def test_a_figure_has_a_panel_for_each_network_dtype_or_training(panels):
    found: dict[str, list[str]] = {}
    for panel in panels:
        found.setdefault(panel.figure, []).append(panel.name)
    assert found == {
        "errors": ["errors-float64", "errors-float32"],
        "cost": ["cost", "growth"],
        "loss": ["loss-xor-more-4", "loss-a-9", "loss-a-10"],
        "confusion": ["confusion-a-9", "misread-a-9"],
        "drift": ["drift-a-9-sgd", "drift-a-9-adam"],
        "faults": ["faults"],
        "timing": ["timing-a-4", "timing-b-8"],
        "sweep": ["sweep-batch", "sweep-width"],
    }


def test_the_figures_are_svg_with_a_title_and_no_reference_to_elsewhere(drawn):
    for name, svg in drawn.items():
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert root.find(f"{SVG}title").text == root.get("aria-label")
        names = {element.tag.partition("}")[2] for element in root.iter()}
        assert not names & {"script", "metadata", "foreignObject"}
        assert ("image" in names) == name.startswith("misread")
        for element in root.iter():
            inside = "data:image/png;base64," if element.tag == f"{SVG}image" else "#"
            assert all(v.startswith(inside) for k, v in element.attrib.items() if k.endswith("href"))
        assert set(re.findall(r"https?://[^\s\"'<>]+", svg)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }


def test_no_id_is_in_two_figures_and_each_reference_is_in_its_own(drawn):
    seen: set[str] = set()
    for name, svg in drawn.items():
        ids = [element.get("id") for element in ElementTree.fromstring(svg).iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
        assert references or name.startswith("misread")
        assert {a or b for a, b in references} <= set(ids)


@pytest.mark.long
def test_the_same_tables_give_the_same_figures(drawn, tables):
    assert {panel.name: panel.svg for panel in panels_of(tables)} == drawn


def test_the_figures_take_their_greys_from_the_page(drawn):
    for svg in drawn.values():
        assert "currentColor" in svg
        assert svg.count(style.INK) == 1
        assert "#000000" not in svg


def test_a_panel_is_so_narrow_that_a_phone_shows_its_words_large_enough(drawn):
    """On 360 pixels, 9 points of 302 are 10.7 pixels."""
    for svg in drawn.values():
        root = ElementTree.fromstring(svg)
        assert root.get("width") == "302.4pt"
        sizes = [float(size) for size in re.findall(r"font[^>]*?([\d.]+)px", svg)]
        assert min(sizes) >= 6.3  # an exponent
        assert sorted(sizes)[len(sizes) // 2] >= 8.5


@pytest.mark.long
def test_no_word_leaves_its_panel(drawn, tables):
    with rc_context(style.STYLE):
        for section, found in of_the_cpu(tables):
            for name, _, figure in itertools.chain(*section.figures(found.tables).values()):
                FigureCanvasSVG(figure)
                figure.draw_without_rendering()
                box = figure.get_tightbbox()
                width, height = figure.get_size_inches()
                assert box.x0 >= -0.02, name
                assert box.x1 <= width + 0.02, name
                assert box.y0 >= -0.02, name
                assert box.y1 <= height + 0.02, name


def test_the_figures_name_their_networks_methods_and_sides(drawn):
    assert "XOR & <more>, batch 4, seed 3" in words(drawn["loss-xor-more-4"])
    assert "a, batch 9, seed 3" in words(drawn["loss-a-9"])
    assert {"NumPy, train", "PyTorch, train"} < set(words(drawn["loss-xor-more-4"]))
    assert "NumPy, test" not in words(drawn["loss-xor-more-4"])
    assert "PyTorch, test" in words(drawn["loss-a-9"])
    assert "a, batch 9, SGD" in words(drawn["drift-a-9-sgd"])
    assert "a, batch 4" in words(drawn["timing-a-4"])
    assert "the book's loop: 1.00 ms (1,000 ×)" in words(drawn["cost"])
    assert {"3 of 3", "1 of 3", "1 of 1", "0 of 1"} < set(words(drawn["faults"]))


def test_what_there_are_no_rows_for_is_not_drawn(tables):
    without = {name: t for name, t in tables.items() if name not in ("confusion", "misread", "sweep")}
    without["timing"] = without["timing"].assign(ratio=np.nan)
    without["growth"] = without["growth"].query("entries == 1000")
    drawings = (section.figures(found.tables).values() for section, found in of_the_cpu(without))
    names = {name for name, _, _ in itertools.chain(*itertools.chain(*drawings))}
    assert not any(re.match("confusion|misread|sweep|timing|growth", name) for name in names)
    assert {"cost", "loss-a-9", "faults"} < names
    assert list(timing.curves(sweep()[:0])) == []


def test_the_histogram_counts_all_networks_and_equal_entries_apart(tables):
    equal, others = only(gradients.histograms, tables["errors"])["errors-float64"].axes
    assert [bar.get_height() for bar in equal.patches] == [6, 6, 6]
    values, edges, _ = others.patches[0].get_data()
    assert list(values) == [4, 2, 0]
    assert list(edges) == [0.5, 1, 10, 20]
    assert [line.get_xdata()[0] for line in others.lines] == [8]
    assert equal.get_yscale() == others.get_yscale() == others.get_xscale() == "log"


@pytest.mark.parametrize("slope", [0.8, 2.0])
def test_a_method_has_its_slope_beside_its_name(tables, slope):
    figure = only(gradients.times, tables["cost"], growth(slope))["growth"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"the book's loop: slope {slope:.1f}" in labels
    assert "backpropagation: slope 0.0" in labels
    assert "torch.autograd.gradcheck: slope 1.0" in labels
    looks = {(line.get_linestyle(), line.get_marker()) for line in figure.axes[0].lines}
    assert len(looks) == len(labels) == 5


def test_equal_losses_have_a_place_of_their_own(tables):
    _, below = only(accuracy.losses, tables["epochs"])["loss-xor-more-4"].axes
    (marks,) = below.lines
    ticks = dict(zip(below.get_yticks(), (t.get_text() for t in below.get_yticklabels()), strict=True))
    assert [ticks.get(y) for y in marks.get_ydata()] == ["equal", None, "equal", None]
    assert marks.get_ydata()[1] == pytest.approx(1e-7)
    assert below.get_ylim()[0] < marks.get_ydata()[0]


def test_the_matrix_has_each_count_and_marks_where_the_sides_differ(tables, drawn):
    labels = words(drawn["confusion-a-9"])
    assert {"50", "40", "30", "5/4", "0/1"} < set(labels)
    assert "a, batch 9, seed 0" in labels
    assert "read as (framed: NumPy's count/PyTorch's)" in labels
    assert drawn["confusion-a-9"].count(f"stroke: {style.TORCH}") == 2
    same = confusion().query("predicted_numpy == predicted_torch")
    (figure,) = only(accuracy.predictions, {"confusion": same}).values()
    placed = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert placed == {"50": (0, 0), "40": (1, 1), "30": (2, 2), "4": (0, 2)}
    assert figure.axes[0].get_xlabel() == "read as (PyTorch's counts are the same)"
    assert figure.axes[0].get_ylabel() == "is a"


def test_the_misread_digits_are_drawn_as_they_are(drawn):
    root = ElementTree.fromstring(drawn["misread-a-9"])
    pictures = [each.get(LINK).partition(",")[2] for each in root.iter(f"{SVG}image")]
    shown = [image.imread(io.BytesIO(base64.b64decode(each))) for each in pictures]
    assert [picture.shape[:2] for picture in shown] == [(4, 4), (4, 4)]
    for picture, greys in zip(shown, (GREYS, GREYS[::-1]), strict=True):
        # An SVG's rows may be stored from the bottom, and are then turned by its transform.
        rows = np.rint(255 * picture[..., 0]).astype(int)
        assert greys.reshape(4, 4).tolist() in (rows.tolist(), rows[::-1].tolist())
    labels = words(drawn["misread-a-9"])
    assert "2 of 3 misread: what it is → what it is read as" in labels
    assert {"2 → 0/1", "2 → 0"} < set(labels)


def test_the_sweep_draws_both_sides_over_their_ratio(tables):
    found = only(timing.curves, tables["sweep"])
    above, below = found["sweep-batch"].axes
    ours, theirs = above.lines
    assert [ours.get_linestyle(), theirs.get_linestyle()] == ["-", "--"]
    assert list(ours.get_xdata()) == [1, 4, 16]
    assert list(ours.get_ydata()) == [1e-6, 4e-6, 16e-6]
    assert list(theirs.get_ydata()) == 3 * [4e-6]
    ratio, one = below.lines
    assert list(ratio.get_ydata()) == [0.25, 1, 4]
    assert list(one.get_ydata()) == [1, 1]
    (band,) = below.collections
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(4.8)
    assert above.get_title(loc="left") == "Against the batch size, width 50, float32"

    above, _ = found["sweep-width"].axes
    assert [text.get_text() for text in above.get_legend().get_texts()] == [
        *("NumPy, batch 100, float32", "PyTorch, batch 100, float32"),
        *("NumPy, batch 100, float64", "PyTorch, batch 100, float64"),
    ]


def test_a_ratio_is_named_by_its_phase_or_else_by_what_numpy_is_held_against():
    other = timed().query("pair == 'NumPy / NumPy'").assign(pair="NumPy / other", ratio=3.0)
    found = only(timing.ratios, pd.concat([timed(), other]))
    (axes,) = found["timing-a-4"].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[::-1] == ["forward", "step", "NumPy / NumPy", "NumPy / other"]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() in "oD"]
    assert dots[::-1] == [0.5, 2, 1, 3]


@pytest.mark.parametrize(
    ("values", "limits"),
    [([2e-7, 3e-5], (1e-7, 1e-4)), ([0, np.nan, np.inf, 1e-9], (1e-10, 1e-8)), ([0.0], (1e-17, 1e-15))],
)
def test_decades_are_around_all_that_is_not_0(values, limits):
    assert style.decades(values) == pytest.approx(limits)


@pytest.mark.parametrize(
    ("name", "slug"), [("XOR 2-4-2", "xor-2-4-2"), ("deep_conv_net, SGD", "deep-conv-net-sgd")]
)
def test_a_slug_can_be_a_file_name(name, slug):
    assert style.slug(name) == slug
