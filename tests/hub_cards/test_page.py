"""The demo in a real browser: what a visitor types, draws and sees. Run it by `make demo-test`."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Timer

import pytest

from tests.commands import LIMIT, ROOT, run_python, script
from tests.hub_cards.bundle import untrained
from vsc_dataset import parse, sample
from vsc_models import VscDeltaForMaskedLM, VscPipeline

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = [
    name
    for name, found in (
        ("selenium", find_spec("selenium")),
        ("a browser called chromium or google-chrome", CHROMIUM),
        ("its chromedriver", DRIVER),
    )
    if not found
]
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not find_spec("gradio"), reason="`make demo-test` installs gradio"),
]
in_a_browser = pytest.mark.skipif(
    bool(MISSING),
    reason=f"lacks {', '.join(MISSING)}: `make demo-test` installs selenium; the browser is yours "
    "to install, on Debian with `apt-get install chromium chromium-driver`",
)
SECONDS = 30
"""At most, until something is on the page."""

QUESTION = "NPFKT:5>4 3>1 1>4 4>2 1>3"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A trained model and an untrained one."""
    home = tmp_path_factory.mktemp("page")
    train = (script("train"), "--recipe", "swap-delta", "--output-dir", home / "trained")
    assert run_python(*train, cwd=ROOT).exit_code == 0
    untrained(home / "untrained")
    return [home / "trained", home / "untrained"]


@pytest.fixture(scope="module")
def pipelines(demo):
    """What each checkpoint answers, evaluated directly."""
    models = {path.name: VscDeltaForMaskedLM.from_pretrained(path) for path in demo}
    return {name: VscPipeline(model, device="cpu") for name, model in models.items()}


@pytest.fixture(scope="module")
def address(demo):
    """Where `python app.py` serves the page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    app = subprocess.Popen(
        [sys.executable, str(ROOT / "hub_cards/space/app.py"), "--checkpoints", *map(str, demo)],
        cwd=demo[0].parent, env={**os.environ, **settings}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    timer = Timer(LIMIT, app.kill)
    timer.start()
    said = []
    for line in app.stdout:  # ends when the page is there, or with the process
        said.append(line)
        if "public link" in line:  # the last line of a page that is served
            break
    timer.cancel()
    assert app.poll() is None, "".join(said)
    yield f"http://127.0.0.1:{port}"
    app.terminate()
    rest, _ = app.communicate(timeout=SECONDS)
    assert "Traceback" not in "".join(said) + rest


def call(address, name, *data):
    """What a function of the page's API gives, in a fresh session."""
    import httpx

    url, body = f"{address}/gradio_api/call/{name}", json.dumps({"data": data})
    begun = httpx.post(url, content=body, headers={"Content-Type": "application/json"})
    told = httpx.get(f"{url}/{begun.json()['event_id']}", timeout=SECONDS).text
    assert told.startswith("event: complete\n"), told
    return json.loads(told.split("data: ", 1)[1])


@pytest.mark.parametrize(
    "given",
    [
        ("grid-len5", "nops5", math.nan),
        ("grid-len5", "nops5", "x"),
        ("none", "nops5", 0),
        (["a"], {"b": 1}, None),
    ],
)
def test_bad_input_through_the_api_is_one_line(address, given):
    assert call(address, "draw", *given)[-1].startswith('<p class="vsc-error"')


def test_any_split_is_drawn_in_a_fresh_session(address):
    question, html = call(address, "draw", "grid-len5", "nops5", 0)
    assert question == sample("grid-len5", "nops5", [0]).questions()[0]
    assert "vsc-verdicts" in html


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,1100"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """The page as a visitor handles it."""

    def __init__(self, browser, address):
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser = browser
        self.wait = WebDriverWait(browser, SECONDS, 0.05, [StaleElementReferenceException])
        browser.get(address)
        self.until(lambda: self.all("#answers .vsc-table"))

    def until(self, condition):
        return self.wait.until(lambda _: condition())

    def all(self, css):
        return self.browser.find_elements("css selector", css)

    def one(self, css):
        (found,) = self.all(css)
        return found

    def ask(self, question):
        """Replace the question."""
        from selenium.webdriver.common.keys import Keys

        field = self.one("#question textarea, #question input")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.DELETE)
        field.send_keys(question + "\n")

    def shoot(self, name):
        """Leave a picture where the environment says; build/ where `make demo-test` runs."""
        if folder := os.environ.get("VSC_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.browser.save_screenshot(str(Path(folder, name)))


@pytest.fixture
def page(browser, address):
    return Page(browser, address)


@in_a_browser
@pytest.mark.parametrize("question", [QUESTION, "QWERT:1>5 2>4"])
def test_the_page_shows_letters_and_answers_step_by_step(page, pipelines, question):
    page.ask(question)
    page.until(lambda: page.one("#answers .vsc-question").text.startswith(question + " "))
    program = parse(question)
    rows = [
        [re.sub(r"\s", "", cell.text) for cell in line.find_elements("css selector", "td")]
        for line in page.all("#answers tbody tr")
    ]
    assert [row[2] for row in rows] == [program.letters, *program.trace]
    for k, row in enumerate(rows[1:], 1):
        cut = str(type(program)(program.letters, program.operations[:k], program.layout))
        for shown, ask in zip(row[3:], pipelines.values(), strict=True):
            # A blank, also one that ends the answer, is a dot; what does not print is a sign.
            answer = ask(cut)["answer"].ljust(len(row[2]))
            printed = [c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in answer]
            assert shown == "".join(printed).replace(" ", "·")
    trained, not_trained = (line.text for line in page.all("#answers .vsc-verdicts li"))
    assert "✓ right" in trained
    assert "✗ wrong" in not_trained
    page.shoot("demo-ask.png")


@in_a_browser
def test_bad_input_is_one_line_on_the_page(page):
    page.ask("NPFKT:5>6")
    page.until(lambda: page.all("#answers .vsc-error"))
    said = page.one("#answers").text.strip()
    assert said.endswith("operation 1 '5>6': position 6 is out of range 1 to 5")
    page.shoot("demo-error.png")


@in_a_browser
def test_the_results_page_shows_leaderboard_and_pictures(page):
    next(tab for tab in page.all("button[role=tab]") if tab.text == "Results").click()
    page.until(lambda: page.all("table.vsc-figures"))  # the trivial baselines, after the others
    text = page.one("body").text  # once: it takes a second
    cards = ROOT / "hub_cards" / "scorecards"
    names = {json.loads(path.read_text())["name"] for path in cards.glob("*.json")}
    assert names
    assert [name for name in names if name not in text] == []
    pictures = list((ROOT / "hub_cards" / "figures").glob("*.png"))
    # The browser loads a picture when it is scrolled to.
    page.browser.execute_script("for (const i of document.images) i.loading = 'eager'")
    loaded = "return [...document.images].filter(i => i.complete && i.naturalWidth > 500).length"
    page.until(lambda: page.browser.execute_script(loaded) == len(pictures) > 0)
    page.shoot("demo-results.png")
