"""make mutants: what it keeps of an interrupted run, and when a survivor counts as explained."""

import pytest

import mutants

DIFF = """# scratch.nn.linear.x_f__mutmut_3: survived
--- scratch/nn/linear.py
+++ scratch/nn/linear.py
@@ -1,3 +1,3 @@
 def f(x):
-    y = g(x, out=x)
+    y = g(x)
     return y
"""


@pytest.fixture
def kept(tmp_path):
    """A run of two outcomes."""
    kept = mutants.Kept.start(tmp_path / "out" / "mutants.jsonl", {"seed": 3, "sample": 5, "code": "abc"})
    kept.add({"mutant": "f", "killed": True})
    kept.add({"mutant": "g", "killed": False})
    return kept


def test_an_interrupted_run_is_gone_on_with(kept):
    with kept.path.open("a") as file:
        file.write('{"mutant": "h", "kil')
    again = mutants.Kept.read(kept.path, "abc")
    assert again.of["seed"] == 3
    assert again.killed == {"f": True, "g": False}
    again.add({"mutant": "g", "killed": True})
    assert mutants.Kept.read(kept.path, "abc").killed == {"f": True, "g": True}


def test_other_code_has_other_mutants(kept):
    with pytest.raises(SystemExit, match="scratch/ has changed since"):
        mutants.Kept.read(kept.path, "abd")
    with pytest.raises(SystemExit, match="no run was begun"):
        mutants.Kept.read(kept.path.with_name("other"), "abc")


def test_a_reason_is_for_one_change_of_one_function():
    table = {"scratch.nn.linear.x_f": {"y = g(x)": "only the memory is another"}}
    assert mutants.reason("scratch.nn.linear.x_f__mutmut_3", DIFF, table) == "only the memory is another"
    assert mutants.reason("scratch.nn.linear.x_g__mutmut_3", DIFF, table) is None
    assert mutants.reason("scratch.nn.linear.x_f__mutmut_3", DIFF.replace("g(x)", "h(x)"), table) is None
