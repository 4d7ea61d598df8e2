"""Documents of an audit: what each says, that nothing is lost, nothing in it acts, and it is the same twice."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from roberta.parity.compare import Comparison
from roberta.parity.findings import Audit, Finding
from roberta.parity.reports import documents, plot
from roberta.parity.reports.archive import SCHEMA, differences, from_json, to_json
from roberta.parity.reports.sections import sections
from roberta.parity.reports.verdict import headline, never_varied, sights

SCHEMA_FILE = Path(documents.__file__).with_name("audit.schema.json")
DOCUMENTS = {
    "json": documents.to_json, "markdown": documents.to_markdown, "html": documents.to_html,
    "junit": documents.to_junit, "text": documents.text,
}  # fmt: skip


def printed(table) -> str:
    stream = io.StringIO()
    Console(width=300, file=stream).print(table)
    return stream.getvalue()


def parsed(audit) -> ElementTree.Element:
    return ElementTree.fromstring(audit.to_junit())  # noqa: S314  # our own document


@pytest.fixture
def validator():
    """Of the schema that is shipped."""
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_an_audit_comes_back_from_json_as_it_was(audit):
    read = from_json(to_json(audit))
    assert to_json(read) == to_json(audit)
    assert repr(read) == repr(audit)  # NaN is not equal to itself, its name is


def test_each_field_of_a_finding_survives_on_its_own(make_audit):
    for finding in make_audit().findings:
        (read,) = from_json(to_json(make_audit((finding,)))).findings
        assert repr(read) == repr(finding)


def test_numbers_that_json_lacks_are_text_there_and_numbers_again(audit):
    content = json.loads(to_json(audit), parse_constant=pytest.fail)
    comparison = content["findings"][1]["comparisons"][1]
    assert (comparison["ratio"], comparison["error"]) == ("Infinity", "NaN")
    assert from_json(to_json(audit)).findings[1].comparisons[1].ratio == float("inf")


def test_the_document_follows_its_schema(audit, hostile, make_audit, validator):
    validator.check_schema(validator.schema)
    for each in (audit, hostile, make_audit(()), make_audit(is_complete=False)):
        assert [error.message for error in validator.iter_errors(json.loads(to_json(each)))] == []


@pytest.mark.parametrize("name", ["schema", "findings", "is_complete"])
def test_the_schema_refuses_a_document_that_lacks_something(audit, name, validator):
    content = json.loads(to_json(audit))
    del content[name]
    assert not validator.is_valid(content)


def test_the_schema_names_every_field_of_the_records(audit):
    """Two lists of fields that must not part: the records' and the schema's."""
    definitions = json.loads(SCHEMA_FILE.read_text())["$defs"]
    content = json.loads(to_json(audit))
    failed = content["findings"][1]
    found = {
        "finding": failed, "comparison": failed["comparisons"][0], "departure": failed["departure"],
        "visibility": failed["power"][0], "decisions": failed["decisions"],
    }  # fmt: skip
    assert {name: set(part) for name, part in found.items()} == {
        name: set(definitions[name]["properties"]) for name in found
    }
    assert json.loads(SCHEMA_FILE.read_text())["properties"]["schema"]["const"] == SCHEMA


def test_what_json_cannot_hold_is_written_all_the_same(make_audit):
    settings = {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x"), "d": frozenset({"b", "a"}), "e": len}
    content = json.loads(to_json(make_audit(settings=settings)))["settings"]
    assert (content["a"], content["b"], content["c"], content["d"]) == (0.5, [0, 1], "x", ["a", "b"])
    assert "len" in content["e"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{", ["report", "required JSON", "none"]),
        ("[]", ["required a document of the schema 'roberta.audit/1'", "got None"]),
        ('{"schema": "roberta.audit/9"}', ["required", "'roberta.audit/1'", "got 'roberta.audit/9'", "audit again"]),
        ('{"schema": "roberta.audit/1"}', ["audit.schema.json", "candidate", "audit again"]),
    ],
)
def test_what_is_no_report_is_refused(text, parts):
    with pytest.raises(ValueError, match="report: required") as caught:
        from_json(text)
    assert [part for part in parts if part not in str(caught.value)] == []


def test_names_that_a_later_writer_adds_are_passed_over(audit):
    content = json.loads(to_json(audit))
    content["findings"][0]["mood"] = content["mood"] = "good"
    assert repr(from_json(json.dumps(content))) == repr(audit)


# -- two runs ----------------------------------------------------------------------------------------------------------


def test_two_documents_that_differ_in_times_alone_are_the_same(audit):
    later = replace(audit, settings={**audit.settings, "started": "later", "seconds": 99.0})
    assert differences(to_json(audit), to_json(later)) == []


def test_differences_are_named_with_their_place(audit, make_audit):
    other = make_audit(settings={**audit.settings, "seed": 1, "draws": 8})
    expected = ["settings.seed: 0 before, 1 now", "settings.draws: only now"]
    assert differences(to_json(audit), to_json(other)) == expected
    fewer = make_audit(audit.findings[:2])
    assert "findings: 4 entries before, 2 now" in differences(to_json(audit), to_json(fewer))
    worse = replace(audit.findings[0], comparisons=(Comparison("logits", 0.13),))
    found = differences(to_json(audit), to_json(make_audit((worse, *audit.findings[1:]))))
    assert "findings[0].comparisons[0].ratio: 0.12 before, 0.13 now" in found


def test_a_time_elsewhere_is_no_time(audit):
    other = replace(audit, environment={**audit.environment, "seconds": 3})
    assert differences(to_json(audit), to_json(other)) == ["environment.seconds: only now"]


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_the_same_twice_and_after_json(document, make_audit):
    assert document(make_audit()) == document(make_audit()) == document(from_json(to_json(make_audit())))


# -- the verdict -------------------------------------------------------------------------------------------------------


def test_the_text_says_who_what_where_and_by_how_much(audit):
    text = str(audit)
    assert text.splitlines()[0] == "FAILED: mine against masked_lm of austen in float32"
    order = [
        "4 probes: 1 passed, 1 failed, 1 broken, 1 not covered",
        "roberta.encoder.layer.0.intermediate.output, 5.2e+03 standard deviations off there, known by taps; looks",
        "length 2: hidden_states.1: nan at [0, 0, 0]",
        "length 2: logits[0, 1, 4]: error 0.0031, which is 41.5 of its budget",
        "length 2: logits: rms error 30 sigma, which is 12 of its limit",
        "length 2: logits: 80 of the limit in the direction of 'tanh GELU'",
        "second call: it raised RuntimeError: no such thing",
        "cache splits: it takes no past_key_values",
        "a row of one token",
        "padding on the left",
        "eps 1e-12: at most 0.31 of a limit, in 'padding right'; the variance is 1e4 times eps here",
        "2 of 3 known mistakes",
        "one weight: from a relative change of 0.00015",
        "of 38 choices of the largest logit, 2 may flip within the budget, 1 did",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("statuses", "is_complete", "expected"),
    [
        (["passed"], True, "passed"),
        (["passed", "not covered"], True, "passed"),
        (["passed", "failed"], True, "FAILED"),
        (["broken"], False, "FAILED"),
        (["passed"], False, "INCOMPLETE"),
        (["not covered"], True, "NOTHING JUDGED"),
        ([], True, "NOTHING JUDGED"),
    ],
)
def test_the_headline_is_the_verdict(make_audit, statuses, is_complete, expected):
    audit = make_audit([Finding("x", (), status) for status in statuses], is_complete=is_complete)
    assert headline(audit).startswith(f"{expected}: ")
    assert audit.passed == (expected == "passed")


def test_what_judged_probes_varied_between_them_is_varied_and_the_rest_is_not(make_audit):
    audit = make_audit()
    assert {"padding on the right", "an even length", "an odd length"} & set(never_varied(audit)) == set()
    assert {"padding on the left", "a row of one token"} <= set(never_varied(audit))
    unknown = make_audit(reference={"name": "austen"})
    assert never_varied(unknown) == ("batch: always 3", "cached: never judged")


def test_power_of_all_probes_is_that_of_the_best(audit):
    seen, sized, unseen = sights(audit)
    assert (seen.mistake, seen.seen_by) == ("tanh GELU", ("padding right", "length 2"))
    assert sized.smallest == 1.5e-4
    assert (unseen.seen_by, unseen.effect, unseen.probe) == ((), 0.31, "padding right")


def test_an_effect_that_is_no_number_is_not_the_best(make_audit):
    first, second = make_audit().findings[:2]
    assert sights(make_audit((second, first)))[1].effect == 0.31


def test_a_problem_is_said_once(make_audit):
    broken = Comparison("logits", float("inf"), problem="expected shape (1,), got (2,)", rms=float("inf"))
    text = str(make_audit((Finding("x", (), "failed", comparisons=(broken,)),)))
    assert text.count("expected shape (1,), got (2,)") == 1


def test_a_long_list_of_outputs_is_cut_and_counted(make_audit):
    many = tuple(Comparison(f"hidden_states.{i}", 2.0 + i, 1.0, (0,)) for i in range(9))
    text = str(make_audit((Finding("x", (), "failed", comparisons=many),)))
    assert "hidden_states.8" in text
    assert "hidden_states.0" not in text
    assert "and 6 more outputs over their limits" in text


# -- Markdown, HTML, JUnit, terminal -----------------------------------------------------------------------------------


def test_every_table_is_in_markdown_and_html_with_every_row(audit):
    markdown, html = audit.to_markdown(), re.sub(r"<[^>]+>", " ", audit.to_html())
    for section in sections(audit):
        assert f"## {section.title}" in markdown
        assert section.title in html
        assert section.rows or section.instead
    for value in ("numpy", "2.4.6", "ab" * 32, "hidden_size", "1e-09", "past_key_values", "positions off by one"):
        assert value in markdown, value
        assert value in html, value


def test_a_table_of_markdown_has_as_many_cells_in_every_row(audit, hostile):
    for each in (audit, hostile):
        for table in re.findall(r"^(\|.*\|\n(?:\|.*\|\n)+)", each.to_markdown(), re.MULTILINE):
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(counts) == 1


class Reader(HTMLParser):
    """Tags in order; fails on a tag that is closed and was not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_file_that_asks_nobody(audit, hostile):
    for each in (audit, hostile):
        html = each.to_html()
        page = Reader(html)
        assert page.open == []
        assert set(page.tags) & {"script", "link", "img", "iframe", "object", "embed", "form", "base"} == set()
        assert [name for name, _ in page.attributes if name in {"src", "href", "srcset"} or name.startswith("on")] == []
        assert "url(" not in html
        assert "@import" not in html
        assert "http" not in html


def test_html_has_a_plot_of_all_and_one_of_each_failure(audit):
    page = Reader(audit.to_html())
    assert page.tags.count("svg") == 2
    assert page.tags.count("circle") == 5 + 4
    assert ("class", "departure") in page.attributes
    assert "prefers-color-scheme: dark" in audit.to_html()
    assert "@media print" in audit.to_html()


def test_html_without_jinja_says_what_to_install_and_the_rest_is_written(audit, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=re.escape('pip install "roberta[report]"')):
        audit.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "report.json", "report.md"]


def test_junit_has_a_case_for_each_probe(audit, make_audit):
    suite = parsed(audit)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "padding right": [], "length 2": ["failure"], "second call": ["error"], "cache splits": ["skipped"],
    }  # fmt: skip
    assert "41.5 of its budget" in suite.find(".//failure").text
    assert suite.find(".//skipped").get("message") == "it takes no past_key_values"
    assert {item.get("name"): item.get("value") for item in suite.iter("property")}["reference, weights"] == "ab" * 32
    interrupted = parsed(make_audit(is_complete=False))
    assert (interrupted.get("tests"), interrupted.get("errors")) == ("5", "2")


def test_a_hostile_candidate_is_quoted_everywhere(hostile):
    html = hostile.to_html()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    parsed(hostile)
    for document in (str(hostile), hostile.to_markdown(), html, hostile.to_junit(), printed(hostile.table())):
        assert "\x1b" not in document
        assert "\x00" not in document
    assert "[b]x[/b]" in printed(hostile.table())
    assert "\\<script\\>" in hostile.to_markdown()
    assert repr(from_json(hostile.to_json())) == repr(hostile)


def test_the_table_has_a_line_for_each_probe(audit):
    text = printed(audit.table())
    assert all(finding.probe in text for finding in audit.findings)
    assert "roberta.encoder.layer.0.intermediate.output" in text
    assert "it takes no past_key_values" in text


def test_everything_is_written_whole_and_nothing_besides(audit, hostile, tmp_path):
    for each in (audit, hostile):
        each.write(tmp_path / "new" / "folder")
        found = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new" / "folder").iterdir()}
        assert sorted(found) == ["junit.xml", "report.html", "report.json", "report.md"]
        assert repr(from_json(found["report.json"])) == repr(each)


def test_an_audit_of_nothing_has_all_documents(tmp_path):
    Audit({}, {}, {}, {}, ()).write(tmp_path)
    assert "NOTHING JUDGED" in (tmp_path / "report.html").read_text()


# -- the plot ----------------------------------------------------------------------------------------------------------


def test_the_plot_is_logarithmic_and_the_first_place_over_the_limit_is_marked():
    drawn = plot.plot([("a", 0.01), ("b", 0.1), ("c", 1.0), ("d", 10.0), ("e", 100.0)])
    steps = np.diff([point.y for point in drawn.points])
    assert np.allclose(steps, steps[0], atol=0.2)
    assert steps[0] < 0
    assert drawn.points[2].y == drawn.limit
    assert drawn.departure.place == "d"
    assert [point.is_over for point in drawn.points] == [False, False, False, True, True]


def test_the_plot_keeps_what_is_no_number_inside_and_over_the_limit():
    drawn = plot.plot([("zero", 0.0), ("nan", float("nan")), ("infinite", float("inf")), ("tiny", 1e-300)])
    assert [point.is_over for point in drawn.points] == [False, True, True, False]
    assert all(plot.TOP <= point.y <= plot.HEIGHT - plot.BOTTOM for point in drawn.points)
    assert plot.plot(()) is None


def test_names_on_the_axis_do_not_run_into_each_other():
    trail = [(f"roberta.encoder.layer.{layer}.output", 0.1) for layer in range(48) for _ in range(3)]
    labels = plot.plot(trail).columns
    assert labels[0].text == "layer 0"
    assert min(np.diff([label.at for label in labels])) >= plot.APART


def test_a_sum_of_trails_has_the_largest_of_each_place(audit):
    found = dict(plot.largest(audit.findings))
    assert found["roberta.embeddings.word"] == 0.1
    assert found["logits"] == float("inf")
    called_twice = Finding("twice", (), "passed", trail=(("call 1: logits", 0.1), ("call 2: logits", 0.3)))
    assert plot.largest([called_twice]) == (("logits", 0.3),)
