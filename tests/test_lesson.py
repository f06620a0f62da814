"""The traces of the lesson: real runs, complete, and with the numbers that others published."""

import html
import re

import numpy as np
import pytest

from reports import cli
from reports.lesson import page
from reports.lesson.scenes import SCENES
from reports.lesson.texts import LANGUAGES, WORDS
from reports.lesson.texts import SCENES as TITLES
from reports.lesson.trace import trace


@pytest.fixture(scope="module")
def traces():
    return {made.name: trace(made) for made in (make() for make in SCENES)}


every_scene = pytest.mark.parametrize("name", [make().name for make in SCENES])


def test_mazurs_published_numbers(traces):
    tensors = traces["mazur"]["tensors"]
    published = {
        ("z1", "value", 0): 0.3775,
        ("a1", "value", 0): 0.593269992,
        ("a1", "value", 1): 0.596884378,
        ("y", "value", 0): 0.75136507,
        ("y", "value", 1): 0.772928465,
        ("L", "value", 0): 0.298371109,
        ("y", "gradient", 0): 0.74136507,
        ("W2", "gradient", 0): 0.082167041,
        ("W2_new", "value", 0): 0.35891648,
        ("W2_new", "value", 1): 0.408666186,
        ("W2_new", "value", 2): 0.511301270,
        ("W2_new", "value", 3): 0.561370121,
        ("W1", "gradient", 0): 0.000438568,
        ("W1_new", "value", 0): 0.149780716,
        ("W1_new", "value", 1): 0.19956143,
        ("W1_new", "value", 2): 0.24975114,
        ("W1_new", "value", 3): 0.29950229,
    }
    for (name, kind, k), value in published.items():
        for side in ("numpy", "torch"):
            assert tensors[name][kind][side][k] == pytest.approx(value, abs=6e-9), (name, kind, k, side)


@every_scene
def test_both_sides_agree_and_the_numeric_derivative_with_them(traces, name):
    for tensor, told in traces[name]["tensors"].items():
        for kind in ("value", "gradient"):
            if kind in told:
                both = told[kind]
                apart = np.abs(np.subtract(both["numpy"], both["torch"]))
                assert np.all(apart <= both["allowed"]), (tensor, kind)
        if "gradient" in told and not (name == "kink" and tensor == "x"):
            np.testing.assert_allclose(told["gradient"]["numpy"], told["gradient"]["numeric"], atol=1e-9)


def test_at_the_kink_the_numeric_derivative_is_the_mean_of_both_sides(traces):
    gradient = traces["kink"]["tensors"]["x"]["gradient"]
    assert gradient["numpy"][2] == gradient["torch"][2] == 0
    upstream = traces["kink"]["tensors"]["y"]["gradient"]["numpy"][2]
    assert gradient["numeric"][2] == pytest.approx(upstream / 2, rel=1e-4)


def value_of(text, told):
    """What the text of an entry comes to."""

    def number(found):
        letter, name, k = found.groups()
        if (letter, name) == ("g", "L"):
            return "(1)"
        return f"({told['tensors'][name]['value' if letter == 'v' else 'gradient']['numpy'][int(k)]!r})"

    text = re.sub(r"\[([vg]) (\w+) (\d+)\]", number, text)
    for old, new in (
        ("·", "*"),
        ("−", "-"),
        ("²", "**2"),
        ("e^", "exp"),
        ("√2", "sqrt(2)"),
        ("σ", "sigmoid"),
    ):
        text = text.replace(old, new)
    names = {
        "exp": np.exp,
        "log": np.log,
        "sqrt": np.sqrt,
        "max": max,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }
    if ", if " in text:
        slope, condition = re.fullmatch(r"(.*), if (.*), else 0", text).groups()
        return eval(slope) if eval(condition) else 0
    return eval(text, names)


@pytest.mark.parametrize("name", [make().name for make in SCENES if make().name != "batch_norm"])
def test_each_entry_comes_about_as_the_page_says(traces, name):
    for step in traces[name]["steps"]:
        kind = "gradient" if step["phase"] == "backward" else "value"
        shown = traces[name]["tensors"][step["tensor"]][kind]["numpy"]
        assert [value_of(text, traces[name]) for text in step["entries"]] == pytest.approx(
            shown, rel=1e-9, abs=1e-15
        )


@every_scene
def test_every_step_has_its_formula_shapes_and_code(traces, name):
    for step in traces[name]["steps"]:
        assert step["symbols"].startswith("<math")
        shapes = html.unescape(re.sub("<.*?>", "", step["shapes"]))
        shape = traces[name]["tensors"][step["tensor"]]["shape"]
        assert shapes.startswith("(" + "×".join(map(str, shape or [1])) + ")")
        assert step["numpy"].startswith("def ")
        assert '"""' not in step["numpy"]
        assert step["torch"]
    computed = {step["tensor"] for step in traces[name]["steps"] if step["phase"] == "backward"}
    assert computed == {t for t, told in traces[name]["tensors"].items() if "gradient" in told} - {"L"}


@every_scene
def test_every_mistake_changes_a_number_and_is_named_by_the_check(traces, name):
    assert traces[name]["faults"]
    for fault in traces[name]["faults"]:
        assert fault["values"] or fault["gradients"]
        assert fault["name"] in fault["says"]


def test_learning_learns_and_both_losses_lie_on_each_other(traces):
    learning = traces["learning"]["learning"]
    assert len(learning["numpy"]) == len(learning["torch"]) == 500
    assert learning["numpy"][-1] < 0.05 < 0.5 < learning["numpy"][0]
    np.testing.assert_allclose(learning["numpy"], learning["torch"], rtol=1e-9)


def test_every_text_is_there_in_every_language():
    for texts in (*WORDS.values(), *TITLES.values()):
        assert texts.keys() == LANGUAGES.keys()
        assert all(texts.values())
    assert TITLES.keys() == {make().name for make in SCENES}


def test_the_page_is_one_file_without_a_reference_to_elsewhere(traces):
    text = page.render({"scenes": list(traces.values()), "words": WORDS, "titles": TITLES})
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=", text)
    # The namespaces of MathML and SVG are names, not addresses.
    assert set(re.findall(r"https?://[^\s\"'<\\]+", text)) <= {
        "http://www.w3.org/1998/Math/MathML",
        "http://www.w3.org/2000/svg",
    }
    assert text.count("</script>") == 2


def test_the_command_writes_the_page_and_tells_its_size(capsys, tmp_path):
    out = tmp_path / "lesson.html"
    assert cli.main(["lesson", "--out", str(out)]) == 0
    size = out.stat().st_size
    assert f"{size / 1000:.0f} KB" in capsys.readouterr().out
    assert 1e5 < size < 1e6


def test_a_folder_that_cannot_be_written_ends_with_2(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli.main(["lesson", "--out", str(tmp_path / "file" / "lesson.html")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
