"""The page as a reader has it: in Chromium, offline."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from edgeeff import report


@pytest.fixture
def opened(browser, everything, tmp_path):
    """``opened(width=…, …)``: the page in a window, with all that the browser complained of or asked for."""
    path = tmp_path / "report.html"
    path.write_text(report.of_paths(everything)[0], encoding="utf-8")
    contexts = []

    def show(width: int = 1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        window = context.new_page()
        window.said, window.asked = [], []
        window.on("console", lambda message: window.said.append(message.text))
        window.on("pageerror", lambda error: window.said.append(str(error)))
        window.on("request", lambda request: window.asked.append(request.url))
        window.goto(path.as_uri())
        return window

    yield show
    for context in contexts:
        context.close()


def ground(window) -> str:
    return window.evaluate("getComputedStyle(document.body).backgroundColor")


def test_it_loads_nothing_and_complains_of_nothing(opened):
    window = opened()
    assert window.said == [] and len(window.asked) == 1
    # The policy is at work: what gets in all the same does not run.
    window.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')")
    script = "Object.assign(document.createElement('script'), {textContent: 'document.title = 1'})"
    window.evaluate(f"document.body.append({script})")
    window.wait_for_timeout(50)
    assert window.title() != "1" and len(window.said) >= 2


def test_tables_are_sorted_by_click_and_by_keyboard(opened):
    window = opened()

    def names():
        return window.locator("#overview tbody th bdi").all_inner_texts()

    before = names()
    head = window.get_by_role("columnheader", name="latency")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names() == ["b0-cpu-int8", "b0-cpu-fp32", "b0-jetson-int8"]
    window.keyboard.press("Enter")  # the button has the focus
    assert head.get_attribute("aria-sort") == "descending"
    assert names() == ["b0-cpu-fp32", "b0-cpu-int8", "b0-jetson-int8"]  # NOT RUN stays last
    window.get_by_role("columnheader", name="bundle", exact=False).first.get_by_role("button").click()
    assert names() == sorted(before) and head.get_attribute("aria-sort") is None


def test_dark_as_the_system_and_by_the_switch(opened):
    light, dark = ground(opened(color_scheme="light")), ground(opened(color_scheme="dark"))
    assert light != dark
    window = opened(color_scheme="dark")
    switch = window.locator("#theme")
    switch.click()
    assert ground(window) == light and switch.get_attribute("aria-pressed") == "false"
    switch.press("Enter")
    assert ground(window) == dark and switch.get_attribute("aria-pressed") == "true"


def test_the_keyboard_reaches_everything(opened):
    window = opened()
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.className") == "skip"
    assert window.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "content"
    window.locator("#theme").focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    window.keyboard.press("Tab")  # to the first link of the sections
    assert window.evaluate("document.activeElement.getAttribute('href')") == "#warnings"
    assert window.evaluate(outline) != "none"
    unreachable = (
        "[...document.querySelectorAll('button, a, summary, .scroll')].filter(e => e.tabIndex < 0).length"
    )
    assert window.evaluate(unreachable) == 0


def test_figures_have_words_and_letters_are_legible(opened):
    window = opened()
    figures = window.locator("svg.plot")
    assert figures.count() >= 6
    for label in figures.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))"):
        assert len(label) > 10
    assert window.locator("svg.plot:not([role=img])").count() == 0
    sizes = (
        "[...document.querySelectorAll('svg text')].map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(opened(width=390).evaluate(sizes)) >= 11


def test_a_telephone_scrolls_in_one_direction(opened):
    window = opened(width=390)
    assert window.evaluate("document.documentElement.scrollWidth") <= 390
    beyond = (
        "[...document.querySelectorAll('svg text, h1, h2, p, li')]"
        ".filter(one => !one.closest('.scroll, nav, details') && one.getClientRects().length"
        " && one.getBoundingClientRect().right > 391).map(one => one.textContent)"
    )
    assert window.evaluate(beyond) == []
    cells = window.locator("#overview td:visible").all_inner_texts()
    assert any("9.00" in cell for cell in cells)


def test_without_script_all_is_readable(opened):
    window = opened(java_script_enabled=False)
    assert not window.locator("#theme").is_visible()
    assert window.locator("#overview table").is_visible() and window.locator("#pareto svg").is_visible()


def test_it_prints_light_and_whole(opened):
    window = opened(color_scheme="dark")
    window.emulate_media(media="print", color_scheme="dark")
    shot = Image.open(io.BytesIO(window.screenshot()))
    assert shot.convert("L").getpixel((3, 3)) > 240
    assert not window.locator("nav").is_visible() and not window.locator("#theme").is_visible()
    assert window.pdf(format="A4").startswith(b"%PDF")
    at_page = opened(width=703)  # A4 less its margins: tables are tables on paper, not a telephone's cards
    at_page.emulate_media(media="print")
    assert at_page.locator("#overview thead").is_visible()
    beyond = (
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 704).length"
    )
    assert at_page.evaluate(beyond) == 0


def test_tables_fit_the_page_and_words_are_whole(opened):
    """At 1200 pixels nothing is scrolled sideways; on a telephone no word is cut into letters."""
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert opened().evaluate(wide) == 0
    window = opened(width=390)
    cell = window.locator("#gate tbody td", has_text="latency").first
    assert cell.bounding_box()["height"] < 60
