"""results.json: all of it is declared, it reads back as it was written, and what is not so is refused."""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from reports import sections
from reports.errors import UnusableError
from reports.runner import networks
from reports.runner.loading import load
from reports.runner.results import SCHEMA_VERSION, Results, digest
from reports.runner.schema import schema
from reports.sections import cuda
from reports.sections.timing import round_ratios

# A report is made first, which takes seconds.
pytestmark = pytest.mark.long


@pytest.fixture
def content(quick_report) -> dict:
    return json.loads(quick_report.read_text())


@pytest.fixture
def saved(tmp_path):
    """Writes a content, or a text, and gives the path."""

    def save(content):
        path = tmp_path / "some.json"
        path.write_text(
            content if isinstance(content, str) else json.dumps(content | {"sha256": digest(content)})
        )
        return path

    return save


# The schema


def test_the_schema_is_one_and_describes_a_real_report(content):
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(content)
    assert schema()["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_the_report_has_its_schema_beside_it(quick_report):
    assert json.loads((quick_report.parent / "results.schema.json").read_text()) == schema()


def on_a_device() -> dict:
    """The section of a report that asks for a device; the CPU is one."""
    tasks = cuda.tasks([networks.by_name("xor_net")], device="cpu", blocks=2, block=0.0005, seed=0)
    results = Results(Path(), {}, {}, {"cuda": cuda.Cuda().run(tasks)})
    return json.loads(results.json())["sections"]["cuda"]


def test_a_section_on_a_device_is_valid_and_reads_back(content, saved):
    content["sections"]["cuda"] = on_a_device()
    assert load(saved(content)).tables["cuda"]["method"].tolist()[0] == "NumPy"


def test_each_section_table_and_column_of_a_report_is_declared_and_no_other(content):
    found = content["sections"] | {"cuda": on_a_device()}
    assert [*found] == [*sections.every()]
    for name, section in sections.every().items():
        tables = {table.name: [column.name for column in table.columns] for table in section.tables}
        written = {key: [*rows[0]] for key, rows in found[name]["tables"].items()}
        assert written == {key: columns for key, columns in tables.items() if key in written}
        assert all(table.name in written or table.optional for table in section.tables)


def test_each_option_that_is_recorded_is_declared_and_no_other(content):
    assert [*content["options"]] == [*schema()["properties"]["options"]["properties"]]


def test_sections_and_tables_have_names_of_their_own_and_numbers_from_1():
    known = [*sections.every().values()]
    assert [each.number for each in known] == [1 + place for place in range(len(known))]
    tables = [table.name for each in known for table in each.tables]
    assert len(tables) == len(set(tables))


def parts_of(schema, where="#"):
    """All schemas in a schema, with their place."""
    yield where, schema
    for name, inner in schema.get("properties", {}).items():
        yield from parts_of(inner, f"{where}/properties/{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from parts_of(schema[word], f"{where}/{word}")


def test_everything_with_a_name_has_a_description_that_is_a_sentence():
    for where, part in parts_of(schema()):
        if re.search(r"/properties/[^/]+$", where):
            assert re.fullmatch(r"\w.*[.?]", part["description"]), where


def test_every_member_of_an_object_is_required_unless_it_says_otherwise():
    for where, part in parts_of(schema()):
        if "properties" in part and not where.endswith("/sections"):
            optional = [
                name for name, each in part["properties"].items() if "Not there" in each["description"]
            ]
            assert part["additionalProperties"] is False, where
            assert part["required"] == [name for name in part["properties"] if name not in optional], where


def test_the_key_of_each_table_tells_its_rows_apart(quick_report):
    found = load(quick_report).tables
    for table in (table for section in sections.every().values() for table in section.tables):
        assert {*table.key} <= {column.name for column in table.columns}
        assert table.item in ("", *table.key)
        if table.name in found:
            assert not found[table.name].duplicated([*table.key]).any(), table.name


# Reading back


def test_a_report_reads_back_as_it_was_written(quick_report):
    read = load(quick_report)
    assert read.json() == quick_report.read_text()
    assert read.out == quick_report.parent
    kinds = read.tables["timing"].dtypes
    assert (kinds["rounds"], kinds["ratio"]) == ("int64", "float64")
    assert read.tables["needle"]["found"].dtype == bool
    assert read.tables["gradients"]["numpy_numeric"].isna().any()
    assert read.tables["gradients"]["kinks"].dtype == "int64"


def not_timed(content: dict) -> None:
    section = content["sections"]["timing"]
    first, *_ = rows = section["tables"]["timing"]
    gone = dict.fromkeys(first) | {key: first[key] for key in ("network", "batch", "dtype")}
    rows[:5] = [gone | {"verdict": "not timed: the gradients disagree in 2.bias"}]
    section["samples"]["timing"][0] |= {"reason": "the gradients disagree in 2.bias", "blocks": {}}


def test_a_network_that_was_not_timed_reads_back_with_gaps(content, saved):
    not_timed(content)
    table = load(saved(content)).tables["timing"]
    assert table.loc[0, ["setting", "pair", "phase"]].isna().all()
    assert table.loc[0, ["ratio", "rounds"]].isna().all()
    assert table["rounds"].dtype == "float64"
    jsonschema.Draft202012Validator(schema()).validate(content)


def test_a_report_that_was_stopped_reads_back_with_what_was_finished(content, saved):
    content["sections"] = {"gradients": content["sections"]["gradients"]}
    assert list(load(saved(content)).tables) == ["gradients", "errors", "cost", "growth"]
    content["sections"] = {}
    content["agrees"] = None
    assert load(saved(content)).tables == {}


def test_the_ratios_are_those_of_the_rounds(quick_report):
    timing = load(quick_report).sections["timing"]
    for row in timing.tables["timing"].query("pair == 'NumPy / PyTorch'").itertuples():
        ratios = round_ratios(timing, row.network, row.batch, row.phase)
        assert ratios.shape == (row.processes, row.rounds)
        assert np.median(ratios) == row.ratio


# Refusals


def refused(path, *parts) -> None:
    with pytest.raises(UnusableError) as found:
        load(path)
    assert str(found.value).startswith(f"{path}: ")
    for part in parts:
        assert part in str(found.value)


def test_a_file_that_is_not_there(tmp_path):
    refused(tmp_path / "none.json", "No such file", "expected a results.json of gradmirror report")
    refused(tmp_path, "Is a directory")


def test_a_file_that_is_cut_anywhere_is_called_truncated(quick_report, saved):
    text = quick_report.read_text()
    closing = [found.end() for found in re.finditer(r"[}\]]", text)]
    for cut in {*range(0, len(text) - 2, 1999), *closing[:-1:97], *closing[-5:-1], 1, 2, len(text) - 2}:
        refused(saved(text[:cut]), "truncated")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("table,network\n", "not JSON: Expecting value"),
        ("<html></html>", "not JSON"),
        ('{"a": 1,}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"schema_version": NaN}', "not JSON: it has NaN"),
        ("[]", "no results.json of gradmirror report, which has a schema_version"),
        ('{"ok": true}', "no results.json of gradmirror report, which has a schema_version"),
    ],
)
def test_a_file_that_is_something_else(saved, text, said):
    refused(saved(text), said)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\x89PNG\xff")
    refused(tmp_path / "x.json", "not JSON: byte 0 is not UTF-8")


def test_a_number_beyond_all_numbers(quick_report, saved):
    text = re.sub(r'"tolerance": [^,]+', '"tolerance": 1e999', quick_report.read_text(), count=1)
    refused(saved(text), "not JSON: it has 1e999")


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", 1.5])
def test_another_version_is_named_and_the_one_that_is_expected(content, saved, version):
    content["schema_version"] = version
    refused(saved(content), f"schema_version {version!r}, expected {SCHEMA_VERSION}")


def test_a_number_that_was_altered_is_refused_though_it_could_be(content, saved):
    content["sections"]["accuracy"]["tables"]["accuracy"][0]["seed"] += 1
    refused(saved(json.dumps(content)), "it was altered since it was written: it does not have its sha256")


def timing_samples(content: dict) -> dict:
    return content["sections"]["timing"]["samples"]["timing"][0]


TAMPERED = {
    "no sections": (lambda c: c.pop("sections"), "'sections' is a required property"),
    "no environment": (lambda c: c.pop("environment"), "'environment' is a required property"),
    "no cpu": (lambda c: c["environment"].pop("cpu"), "environment: 'cpu' is a required property"),
    "a table gone": (
        lambda c: c["sections"]["gradients"]["tables"].pop("cost"),
        "sections.gradients.tables: 'cost' is a required property",
    ),
    "a column gone": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][3].pop("verdict"),
        "sections.accuracy.tables.accuracy[3]: 'verdict' is a required property",
    ),
    "a column more": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][3].update(luck=7),
        "sections.accuracy.tables.accuracy[3]: Additional properties are not allowed ('luck' was unexpected)",
    ),
    "a section more": (
        lambda c: c["sections"].update(luck={}),
        "sections: Additional properties are not allowed ('luck' was unexpected)",
    ),
    "a number as text": (
        lambda c: c["sections"]["gradients"]["tables"]["gradients"][0].update(scale="0.5"),
        "sections.gradients.tables.gradients[0].scale: '0.5' is not of type 'number', 'null'",
    ),
    "a count as a half": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][0].update(predictions_differ=1.5),
        "predictions_differ: 1.5 is not of type 'integer'",
    ),
    "a count that no integer holds": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][0].update(predictions_differ=2**70),
        "too large",
    ),
    "a count below 0": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][0].update(predictions_differ=-1),
        "predictions_differ: -1 is less than the minimum of 0",
    ),
    "yes as a number": (
        lambda c: c["sections"]["accuracy"]["tables"]["accuracy"][0].update(seed=True),
        "seed: True is not of type 'integer'",
    ),
    "a verdict gone": (
        lambda c: c["sections"]["drift"]["tables"]["drift"][0].update(verdict=None),
        "sections.drift.tables.drift[0].verdict: None is not of type 'string'",
    ),
    "a table as a number": (
        lambda c: c["sections"]["drift"]["tables"].update(drift=3),
        "sections.drift.tables.drift: 3 is not of type 'array'",
    ),
    "a precision that is none": (
        lambda c: c["sections"]["drift"]["tables"]["drift"][0].update(dtype="int8"),
        "dtype: 'int8' is not one of ['float32', 'float64']",
    ),
    "a time as text": (
        lambda c: timing_samples(c)["blocks"]["numpy"][1].update(step="1 ms"),
        "blocks.numpy[1].step: '1 ms' is not of type 'number'",
    ),
    "no samples": (
        lambda c: c["sections"]["timing"]["samples"].update(timing=[]),
        "sections.timing.samples: 64-50-10, batch 100: processes of [] rounds, expected as many of each",
    ),
    "a round of one side": (
        lambda c: timing_samples(c)["blocks"]["torch"].pop(),
        "3 times of NumPy and 2 of PyTorch, expected as many",
    ),
    "a phase that is missing": (
        lambda c: timing_samples(c)["blocks"]["torch"][1].pop("update"),
        "its parts do not fit together: KeyError('update')",
    ),
    "no time": (lambda c: timing_samples(c)["blocks"]["numpy"][1].update(step=0), "all above 0"),
    "a row twice": (
        lambda c: c["sections"]["checker"]["tables"]["needle"].append(
            c["sections"]["checker"]["tables"]["needle"][0]
        ),
        "needle: two rows of 64-2-10, gradmirror, compare",
    ),
}


@pytest.mark.parametrize(("tamper", "said"), TAMPERED.values(), ids=TAMPERED)
def test_a_file_that_was_tampered_with(content, saved, tamper, said):
    tamper(content)
    refused(saved(content), said)
