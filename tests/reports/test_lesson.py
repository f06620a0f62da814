"""The traces of the lesson: real runs, complete, and with the numbers that others published."""

import html
import inspect
import json
import re

import numpy as np
import pytest

import scratch
from reports import cli
from reports.lesson import page
from reports.lesson.mistakes import FAULTS
from reports.lesson.operations import reasons
from reports.lesson.scenes import scenes
from reports.lesson.source import assigning, differing, watch
from reports.lesson.texts import LANGUAGES, WORDS
from reports.lesson.texts import WHY as OTHER_REASONS
from reports.lesson.trace import trace
from torch_ref import faults

# Of the cases of each test; the others in make long.
ONE_IN = 2

SCENES = scenes()
TITLES = {scene.name: scene.title for scene in SCENES}
WHY = OTHER_REASONS | reasons()


@pytest.fixture(scope="module")
def content():
    """All that the page shows; made once, since it takes seconds."""
    return page.traces()


class Traces(dict):
    """The scenes by name, each traced when it is asked for."""

    def __missing__(self, name):
        (scene,) = (scene for scene in SCENES if scene.name == name)
        self[name] = trace(scene)
        return self[name]


@pytest.fixture(scope="module")
def traces():
    return Traces()


@pytest.fixture
def made(content, monkeypatch):
    """Lets the command write what has been traced already."""
    monkeypatch.setattr(page, "traces", lambda: content)


# That of learning trains 28 times.
every_scene = pytest.mark.parametrize(
    "name",
    [
        pytest.param(scene.name, marks=[pytest.mark.long] if scene.name == "learning" else [])
        for scene in SCENES
    ],
)


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
    for tensor, shown in traces[name]["tensors"].items():
        for kind in ("value", "gradient"):
            if kind in shown:
                both = shown[kind]
                apart = np.abs(np.subtract(both["numpy"], both["torch"]))
                assert np.all(apart <= both["allowed"]), (tensor, kind)
        if "gradient" in shown and not (name == "kink" and tensor == "x"):
            gradient = shown["gradient"]
            np.testing.assert_allclose(gradient["numpy"], gradient["numeric"], atol=1e-9)
            apart = np.abs(np.subtract(gradient["numpy"], gradient["numeric"]))
            assert np.all(apart <= gradient["allowed_numeric"]), tensor


@every_scene
def test_no_number_is_rounding_alone(traces, name):
    for tensor, shown in traces[name]["tensors"].items():
        for kind in {"value", "gradient"} & shown.keys():
            sizes = np.abs(shown[kind]["numpy"])
            assert np.all((sizes == 0) | (sizes > 1e-5)), (tensor, kind)


def test_at_the_kink_the_numeric_derivative_is_the_mean_of_both_sides(traces):
    gradient = traces["kink"]["tensors"]["x"]["gradient"]
    assert gradient["numpy"][2] == gradient["torch"][2] == 0
    upstream = traces["kink"]["tensors"]["y"]["gradient"]["numpy"][2]
    assert gradient["numeric"][2] == pytest.approx(upstream / 2, rel=1e-4)


def value_of(text, shown):
    """The value of the text of an entry."""

    def number(found):
        letter, name, k = found.groups()
        if (letter, name) == ("g", "L"):
            return "(1)"
        return f"({shown['tensors'][name]['value' if letter == 'v' else 'gradient']['numpy'][int(k)]!r})"

    text = re.sub(r"\[([vg]) (\w+) (\d+)\]", number, text)
    for old, new in (
        ("·", "*"),
        ("−", "-"),
        ("²", "**2"),
        (" = ", " == "),
        ("e^{", "exp("),
        ("}", ")"),
        ("√2", "sqrt(2)"),
        ("√(", "sqrt("),
    ):
        text = text.replace(old, new)
    names = {
        "exp": np.exp,
        "log": np.log,
        "sqrt": np.sqrt,
        "max": max,
        "randperm": lambda n: scratch.randperm(n, generator=scratch.Generator().manual_seed(1)),
    }
    return eval(text, names)


@every_scene
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
        assert re.fullmatch(r"\w+\.(forward|backward|update)", step["ran"])
        assert step["numpy"]
        for each in step["numpy"]:
            assert each["lines"][0].startswith("def ")
            assert '"""' not in "".join(each["lines"])
            assert not each["wrong"]
        assert any(each["makes"] for each in step["numpy"])
        assert step["torch"]
        assert step["why"] in WHY
    computed = {step["tensor"] for step in traces[name]["steps"] if step["phase"] == "backward"}
    assert computed == {t for t, shown in traces[name]["tensors"].items() if "gradient" in shown} - {"L"}


@every_scene
def test_every_mistake_changes_a_number_and_is_named_by_the_check(traces, name):
    assert traces[name]["faults"]
    for fault in traces[name]["faults"]:
        assert fault["values"] or fault["gradients"]
        assert fault["name"] in fault["says"]
        # The first number that is wrong belongs to the layer that makes the mistake.
        wrong = (
            step
            for step in traces[name]["steps"]
            if step["tensor"] in fault["gradients" if step["phase"] == "backward" else "values"]
        )
        assert next(wrong)["node"] == fault["node"]


@every_scene
def test_a_wrong_gradient_makes_a_wrong_update(traces, name):
    updated = {step["tensor"] for step in traces[name]["steps"] if step["phase"] == "update"}
    for fault in traces[name]["faults"]:
        wrong = {f"{tensor}_new" for tensor in fault["gradients"]} & updated
        assert wrong == {tensor for tensor in fault["values"] if tensor.endswith("_new")}


def test_another_forward_has_other_numeric_derivatives(traces):
    fault = traces["batch_norm"]["faults"][2]
    assert set(fault["values"]) == {"var", "xhat", "y", "L"}
    for tensor, shown in traces["batch_norm"]["tensors"].items():
        if "gradient" in shown:
            ours = fault["gradients"].get(tensor, shown["gradient"]["numpy"])
            np.testing.assert_allclose(ours, fault["numeric"][tensor], atol=1e-9)
    assert not np.allclose(fault["numeric"]["x"], traces["batch_norm"]["tensors"]["x"]["gradient"]["numeric"])


@pytest.mark.long
def test_learning_learns_and_both_sides_go_the_same_way(traces):
    learning = traces["learning"]["learning"]
    ours, theirs = learning["numpy"], learning["torch"]
    assert len(ours["losses"]) == len(theirs["losses"]) == 500
    assert ours["losses"][-1] < 0.05 < 0.5 < ours["losses"][0]
    assert len(ours["shown"]) == 500 // learning["every"]
    np.testing.assert_array_equal(np.round(ours["shown"][-1]), learning["targets"])
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=0, atol=learning["allowed"])
    np.testing.assert_allclose(ours["shown"], theirs["shown"], rtol=0, atol=learning["allowed"])


@pytest.mark.long
def test_the_mini_batches_are_those_of_torch(traces):
    torch = pytest.importorskip("torch")
    drawn = traces["learning"]["tensors"]["i"]["value"]
    assert drawn["numpy"] == torch.randperm(4, generator=torch.Generator().manual_seed(1))[:3].tolist()


@pytest.mark.long
def test_a_mistake_can_learn_or_not_or_leave_all_numbers(traces):
    last = {fault["name"]: fault["losses"] for fault in traces["learning"]["faults"]}
    assert last["the weights are updated before the error has passed through them"][-1] < 0.05
    assert last["the activation's derivative is missing"][-1] > 0.5
    assert len(last["the derivative is taken at the input instead of the output"]) < 100


def lines_that_ran(function, call):
    (ran,) = watch(call, (), {function.__code__})
    return ran.lines(function.__name__)


def test_only_the_lines_that_ran_are_shown():
    def chooses(x):
        """Not this."""
        if x > 0:
            y = [
                x,
            ]
            y += [1]
        else:
            y = None
        if x > 5:
            y = 5
        for _ in ():
            y = 6
        return y

    head = "def chooses(x):"
    assert lines_that_ran(chooses, lambda: chooses(1)) == [
        *(
            head,
            "    if x > 0:",
            "        y = [",
            "            x,",
            "        ]",
            "        y += [1]",
            "    return y",
        ),
    ]
    assert lines_that_ran(chooses, lambda: chooses(-1)) == [
        *(head, "    if x > 0:", "        ...", "    else:", "        y = None", "    return y"),
    ]


def test_the_variables_of_a_function_are_those_at_its_end():
    def adds(x):
        y = x.copy()
        y += 1
        return y

    (ran,) = watch(lambda: adds(np.ones(2)), (), {adds.__code__})
    assert {name: x.tolist() for name, x in ran.variables.items()} == {"x": [1, 1], "y": [2, 2]}


def test_the_lines_that_make_a_variable_and_those_that_are_wrong():
    right = ["def f(x):", "    a, b = x", "    c = a + b", "    return c"]
    wrong = ["def f(x):", "    a, b = x", "    c = a - b", "    return c"]
    assert (assigning(right, "b"), assigning(right, "c"), assigning(right, "none")) == ([1], [2], [3])
    assert differing(right, wrong) == [2]
    assert differing(right, right[:2] + right[3:]) == [2]


@every_scene
def test_with_a_mistake_the_code_is_the_wrong_function_that_ran(traces, name):
    right = {
        ("d:" if step["phase"] == "backward" else "") + step["tensor"]: step["numpy"]
        for step in traces[name]["steps"]
    }
    for fault in traces[name]["faults"]:
        marked = {
            (tensor, shown["lines"][k].strip())
            for tensor, functions in fault["code"].items()
            for shown in functions
            for k in shown["wrong"]
        }
        assert marked, fault["name"]
        # At the first step that shows a wrong number stands a line that is marked.
        first = next(
            key
            for step in traces[name]["steps"]
            if (key := ("d:" if step["phase"] == "backward" else "") + step["tensor"])
            and step["tensor"] in fault["gradients" if step["phase"] == "backward" else "values"]
        )
        assert any(shown["wrong"] for shown in fault["code"][first]), fault["name"]
        assert fault["code"][first] != right[first]
        # And it is a line of the mistake's own source.
        made = [f for f in faults.FAULTS if f.name == fault["name"] and f.formulas]
        sources = "".join(inspect.getsource(version) for f in made for version in f.formulas.values())
        assert all(line in sources for _, line in marked), fault["name"]


@pytest.mark.long
def test_every_text_is_there_in_every_language(content):
    traces = {shown["name"]: shown for shown in content["scenes"]}
    for texts in (*WORDS.values(), *TITLES.values(), *WHY.values()):
        assert texts.keys() == LANGUAGES.keys()
        assert all(texts.values())
    assert TITLES.keys() == traces.keys()
    steps = {step["why"] for shown in traces.values() for step in shown["steps"]}
    assert WHY.keys() == steps | {"start", "repeat"}
    names = {fault["name"] for shown in traces.values() for fault in shown["faults"]}
    assert all(FAULTS[language].keys() == names for language in LANGUAGES.keys() - {"en"})


@pytest.mark.long
def test_the_content_of_the_page_are_all_scenes_and_texts(content):
    assert [shown["name"] for shown in content["scenes"]] == [scene.name for scene in SCENES]
    texts = {"words": WORDS, "titles": TITLES, "why": WHY, "faults": FAULTS}
    assert {key: content[key] for key in texts} == texts


@pytest.mark.long
def test_the_page_is_one_file_without_a_reference_to_elsewhere(content):
    text = page.render(content)
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=", text)
    # The namespace of SVG is a name, not an address.
    assert set(re.findall(r"https?://[^\s\"'<\\]+", text)) == {"http://www.w3.org/2000/svg"}
    assert text.count("</script>") == 2


def test_what_the_trace_says_cannot_end_its_element():
    shown = {"words": "</script><!-- <script>"}
    found = page.within_script(shown)
    assert "</script" not in found
    assert "<!--" not in found
    assert json.loads(found) == shown


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        page.within_script({"loss": float("nan")})


@pytest.mark.long
@pytest.mark.usefixtures("made")
def test_the_command_writes_the_page_and_tells_its_size(capsys, tmp_path):
    out = tmp_path / "lesson.html"
    assert cli.main(["lesson", "--out", str(out)]) == 0
    size = out.stat().st_size
    assert f"{size / 1000:.0f} KB" in capsys.readouterr().out
    assert 1e5 < size < 1e6


@pytest.mark.long
@pytest.mark.usefixtures("made")
def test_a_folder_that_cannot_be_written_ends_with_2(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli.main(["lesson", "--out", str(tmp_path / "file" / "lesson.html")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
