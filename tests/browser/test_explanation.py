"""The page of `roberta explain` in a browser: it opens from a file, asks nobody, and shows what was recorded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import roberta
from roberta.teaching.pages import html, write_page
from roberta.teaching.recording import recorded

pytestmark = [pytest.mark.slow]
TEXT = "It is a truth universally acknowledged, that a single man must be in want of a <mask>."


@pytest.fixture(scope="module")
def record() -> Any:
    return recorded(
        roberta.RobertaForMaskedLM.from_pretrained("austen"), roberta.RobertaTokenizer.from_pretrained("austen"), TEXT
    )


@pytest.fixture(scope="module")
def address(record: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html(record), encoding="utf-8")
    return path.as_uri()


def text(page: Any, selector: str) -> str:
    return page.locator(selector).inner_text()


def test_every_switch_lights_its_own_tap_first(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    for number, fault in enumerate(record["faults"]):
        page.locator(f'input[name="fault"][value="{number}"]').check()
        assert page.locator("#fault-title").inner_text() == fault["title"]
        lit, circles = page.locator("#fault-plot text.first"), page.locator("#fault-plot circle.over")
        if fault["first"] is None:
            assert (lit.count(), circles.count()) == (0, 0)
            continue
        assert lit.inner_html() == fault["first"].replace("roberta.", "")
        assert circles.count() == sum(ratio is not None and ratio > 1 for ratio in fault["ratios"])
        leftmost = min(float(circle.get_attribute("cx")) for circle in circles.all())
        assert leftmost == pytest.approx(float(page.locator("#fault-plot circle.first").get_attribute("cx")))
        if not fault["hidden"]:
            assert fault["own_tap"] in text(page, "#fault-lines")


def test_the_numbers_on_the_page_are_the_records(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    one = record["passes"][0]
    rows = page.locator("#taps tbody tr")
    assert rows.count() == len(one["taps"])
    for place in (0, 8, 40, len(one["taps"]) - 1):
        tap = one["taps"][place]
        cells = rows.nth(place).locator("td").all_inner_texts()
        assert cells[0] == " × ".join(map(str, tap["shape"]))
        assert [float(cell) for cell in cells[1:]] == [tap["min"], tap["max"], tap["rms"]]
        rows.nth(place).locator("button").click()
        assert text(page, "#tap-equation") == tap["equation"]
        assert text(page, "#tap-source") == tap["source"]
        assert page.locator("#tap-histogram rect").count() == len(tap["histogram"])
    page.locator("#tap-link").click()
    assert page.locator(f'[id="{tap["file"]}-{tap["line"]}"]').inner_text().strip() == tap["source"]
    assert page.locator(f'[id="{tap["file"]}-{tap["line"]}"]').is_visible()
    page.get_by_role("button", name="layer 2, head 1").click()
    page.get_by_text("The same as a table of numbers").click()
    found = page.locator("#head-table tbody tr").nth(3).locator("td").all_inner_texts()
    assert [float(cell) for cell in found] == one["attention"][2]["probs"][1][3]
    page.get_by_label("scores").check()
    found = page.locator("#head-table tbody tr").nth(3).locator("td").all_inner_texts()
    assert [float(cell) for cell in found] == one["attention"][2]["scores"][1][3]
    words = [row[0] for row in one["answer"]["words"][0]["best"]]
    assert page.locator("#answers tbody th").all_inner_texts() == [word.replace(" ", "·") for word in words]


def test_a_picture_is_of_the_bytes_that_were_recorded(opened: Any, address: str) -> None:
    page = opened(address)
    size = page.evaluate(
        "[document.getElementById('tap-picture').width, document.getElementById('tap-picture').height]"
    )
    picture = page.evaluate("record.passes[0].taps[0].picture")
    assert size == [picture["columns"], picture["rows"]]
    colours = page.evaluate(
        "new Set(document.getElementById('tap-picture').getContext('2d').getImageData(0, 0, 50, 9).data).size"
    )
    assert colours > 20


def test_a_fault_is_guessed_by_its_plot_alone(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    page.get_by_role("button", name="Guess the fault").click()
    assert "What?" in text(page, "#fault-title")
    assert text(page, "#fault-lines") == ""
    first = page.locator("#fault-plot text.first").inner_html()
    wrong = next(
        i for i, fault in enumerate(record["faults"]) if i and (fault["first"] or "").replace("roberta.", "") != first
    )
    solve = page.get_by_role("button", name="This is it")
    assert solve.is_disabled()
    page.locator(f'input[name="fault"][value="{wrong}"]').check()
    assert text(page, "#fault-words").startswith("Is it")
    solve.click()
    assert text(page, "#fault-words").startswith("No:")
    right = page.evaluate("hidden")
    page.locator(f'input[name="fault"][value="{right}"]').check()
    assert "What?" in text(page, "#fault-title")
    solve.click()
    assert text(page, "#fault-words").startswith("Right.")
    assert text(page, "#fault-title") == record["faults"][right]["title"]
    assert solve.is_hidden()


def test_who_walks_with_the_keyboard_has_not_answered(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    page.get_by_role("button", name="Guess the fault").focus()
    page.keyboard.press("Enter")
    right = page.evaluate("hidden")
    page.locator('input[name="fault"]').first.focus()
    page.keyboard.press("Space")
    for _ in range(right):
        page.keyboard.press("ArrowDown")
    assert "What?" in text(page, "#fault-title")
    page.keyboard.press("Enter")
    assert text(page, "#fault-words").startswith("Right.")


def test_it_may_be_given_up(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    page.get_by_role("button", name="Guess the fault").click()
    right = page.evaluate("hidden")
    page.get_by_role("button", name="I give up").click()
    assert text(page, "#fault-words") == f"It was: {record['faults'][right]['mistake']}."
    assert page.evaluate("marked().value") == str(right)
    assert page.evaluate("document.activeElement.id") == "guess"
    assert page.get_by_role("button", name="I give up").is_hidden()


def test_what_is_hidden_is_what_runs_here(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    page.evaluate("globalThis.robertaRuntime = { run: (name) => { globalThis.ran = name; return { ratios: {} }; } }")
    page.evaluate("guess(); runLive()")
    assert page.evaluate("ran === record.faults[hidden].name")
    assert "What?" in text(page, "#fault-title")


@pytest.mark.parametrize("width", [320, 360, 768, 1400])
def test_letters_of_the_plots_are_as_large_as_the_page_s(opened: Any, address: str, width: int) -> None:
    page = opened(address, width)
    page.locator('input[name="fault"][value="3"]').check()
    sizes = page.evaluate(
        """[...document.querySelectorAll("svg text")].map((text) =>
             parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"""
    )
    assert len(sizes) > 15
    assert min(sizes) >= 11
    boxes = page.evaluate(
        """[...document.querySelectorAll("svg text")].map((text) => text.getBoundingClientRect())
             .map((box) => [box.left, box.right])"""
    )
    assert all(left >= -1 and right <= width + 1 for left, right in boxes)


def test_paper_is_white_where_the_screen_is_dark(opened: Any, address: str) -> None:
    page = opened(address, color_scheme="dark")

    def picture() -> str:
        return page.evaluate("document.getElementById('tap-picture').toDataURL()")

    dark = picture()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("colour('--none')") == "255 255 255"
    light = picture()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (picture(), page.evaluate("colour('--none')")) == (dark, "27 30 37")
    assert light != dark
    page.emulate_media(media="print")
    # By selector: a function that waits is evaluated by name in the page, which its policy may forbid.
    page.locator("html[data-printed='']").wait_for(state="attached")
    assert picture() == light


def test_it_is_used_with_the_keyboard_alone(opened: Any, address: str, record: Any) -> None:
    page = opened(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the first step"
    seen = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.closest('[id]')?.id")
        if page.evaluate("document.activeElement.name") == "fault":
            break
        seen.add(where)
    assert {"heads", "taps", "tap-link"} <= seen
    page.keyboard.press("ArrowDown")
    assert text(page, "#fault-title") == record["faults"][1]["title"]
    page.locator("#heads button").nth(5).focus()
    page.keyboard.press("Enter")
    assert "layer 1, head 1" in text(page, "#head-title")


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen(opened: Any, address: str, width: int, scheme: str) -> None:
    page = opened(address, width, color_scheme=scheme)
    page.locator('input[name="fault"][value="9"]').check()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert abs(sum(map(int, ink[4:-1].split(", "))) - sum(map(int, paper[4:-1].split(", ")))) > 450


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anybody_out(opened: Any, violations: Any, address: str, scheme: str) -> None:
    page = opened(address, color_scheme=scheme, bypass_csp=True)
    page.locator('input[name="fault"][value="9"]').check()
    for table in page.get_by_text("The same as a table").all():
        table.click()
    assert violations(page) == []
    page.evaluate("document.querySelector('h1').remove(); document.documentElement.removeAttribute('lang')")
    assert any("html-has-lang" in one for one in violations(page))


def test_it_is_read_aloud(opened: Any, address: str) -> None:
    page = opened(address)
    assert page.locator("h1").count() == page.locator("main").count() == 1
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, input, canvas:not([aria-hidden]), svg, section, [role=region]')]
        .filter((e) => e.checkVisibility() && !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
        || e.closest('label') || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert unnamed == []
    missing = page.evaluate(
        """[...document.querySelectorAll('[aria-labelledby]')].map((e) => e.getAttribute('aria-labelledby'))
        .filter((id) => !document.getElementById(id))"""
    )
    assert missing == []
    levels = [int(tag[1]) for tag in page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((e) => e.tagName)")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize(
    "given", ["</script><script>document.title='x'</script>", "\"'`${1}` &lt; \u202eabc\u202c <mask>", "😀" * 2000]
)
def test_a_text_runs_nothing(opened: Any, given: str, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", given)
    page = opened((tmp_path / "page.html").as_uri())
    assert page.title() == "RobertaForMaskedLM, step by step"
    assert page.evaluate("record.text") == given
    assert text(page, ".sentence").startswith(given.strip()[:20])


def test_a_decoder_shows_its_cache_and_paper_has_all(opened: Any, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", "She was very", head="causal_lm", faults=False)
    page = opened((tmp_path / "page.html").as_uri())
    page.get_by_label("The last token, on the cache of the others").check()
    page.get_by_text("The same as a table of numbers").click()
    assert page.locator("#head-table tbody tr").count() == 1
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("#answers table").is_visible()
