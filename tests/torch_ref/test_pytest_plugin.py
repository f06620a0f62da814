"""The fixture assert_twin, in a test run of its own."""

import numpy.fft  # noqa: F401  (it cannot be loaded anew by each run inside this process)
import pytest

pytest_plugins = ["pytester"]

LAYER = """
import numpy as np, torch

class Double:
    def __init__(self, factor): self.factor = factor
    def forward(self, x): return 2 * x
    def backward(self, dy): return self.factor * dy

def test_it(assert_twin):
    assert_twin(Double(FACTOR), lambda x: 2 * x, np.random.default_rng(0).standard_normal((4, 5)))
"""


@pytest.mark.parametrize(("factor", "outcome"), [("2", {"passed": 1}), ("4", {"failed": 1})])
def test_assert_twin(pytester: pytest.Pytester, factor: str, outcome: dict[str, int]) -> None:
    pytester.makepyfile(LAYER.replace("FACTOR", factor))
    result = pytester.runpytest()
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines(["*NumPy is wrong: input.*", "*a factor of 2 too much*", "*ratio 2"])


FUNCTION = """
import torch

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return FACTOR * g * ctx.saved_tensors[0]

def test_it(assert_twin):
    assert_twin(Square, torch.square, torch.randn(3, 4))
    assert_twin(Square, None, torch.randn(3, 4), dtypes="bfloat16")
"""


@pytest.mark.parametrize(("factor", "outcome"), [("2", {"passed": 1}), ("1", {"failed": 1})])
def test_an_autograd_function(pytester: pytest.Pytester, factor: str, outcome: dict[str, int]) -> None:
    pytester.makepyfile(FUNCTION.replace("FACTOR", factor))
    result = pytester.runpytest()
    result.assert_outcomes(**outcome)
    if "failed" in outcome:
        result.stdout.fnmatch_lines(["*yours is wrong: input.*", "*a factor of 1/2 too much*"])


def test_the_plugin_imports_nothing_until_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_empty():
            heavy = {"torch", "numpy", "pandas", "scipy", "scratch", "reports", "torch_ref.checker"}
            assert not heavy & sys.modules.keys()
            assert "gradmirror_pytest" in sys.modules
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_folder_with_files_of_our_names(pytester: pytest.Pytester) -> None:
    """A test that does not use the fixture runs; one that does says which file is in the way."""
    pytester.makepyfile(scratch="mine = 1")
    (pytester.mkdir("reports") / "__init__.py").write_text("mine = 2")
    pytester.makepyfile(
        test_own="""
        import reports, scratch

        def test_own():
            assert (scratch.mine, reports.mine) == (1, 2)

        def test_twin(assert_twin):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*assert_twin: *scratch.py is imported where gradmirror's own package*"])


@pytest.mark.long
def test_a_folder_with_reports_of_its_own_can_use_the_fixture(pytester: pytest.Pytester) -> None:
    (pytester.mkdir("reports") / "__init__.py").write_text("mine = 2")
    pytester.makepyfile("import reports\n" + LAYER.replace("FACTOR", "2"))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "form", ["file", *(pytest.param(each, marks=pytest.mark.long) for each in ("package", "folder"))]
)
def test_a_torch_ref_of_ones_own(pytester: pytest.Pytester, form: str) -> None:
    """pytest starts, the own one is imported, and the fixture names what is in the way."""
    if form == "file":
        pytester.makepyfile(torch_ref="mine = 1")
    else:
        folder = pytester.mkdir("torch_ref")
        (folder / ("__init__.py" if form == "package" else "other.py")).write_text("mine = 1")
    pytester.makepyfile(
        test_own=f"""
        def test_own():
            import torch_ref{".other" if form == "folder" else ""}

        def test_twin(assert_twin):
            pass
        """
    )
    # As an installation of this version loads it.
    result = pytester.runpytest_subprocess("-p", "no:gradmirror", "-p", "gradmirror_pytest")
    if form == "folder":  # ours comes first, as Python has it, wherever it is on the path
        result.assert_outcomes(passed=1, failed=1)
        return
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*assert_twin: *torch_ref* is imported where gradmirror's own package torch_ref*"]
    )
