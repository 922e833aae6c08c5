"""The page in a real browser: it loads without a complaint, fits, and answers to the keyboard."""

import base64
import os
import shutil

import pytest
from made_run import make_run

from ulzoo.report import write_comparison, write_report

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 360)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not CHROMIUM or not DRIVER:
        pytest.skip(
            "no Chromium with its driver: install Debian's chromium and chromium-driver to test pages"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    runs = [make_run(folder / "one"), make_run(folder / "two", seed=1)]
    return {
        "run": write_report(runs[0]),
        "beginning": write_report(make_run(folder / "beginning", finished=(), lines=[])),
        "comparison": write_comparison(runs, folder / "comparison.html"),
    }


def show(browser, path, width, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(path.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["run", "beginning", "comparison"])
def test_it_loads_fits_and_asks_for_nothing(browser, pages, name, scheme):
    for width in WIDTHS:
        browser.get_log("performance")
        show(browser, pages[name], width, scheme)
        assert browser.get_log("browser") == []
        # Tables and listings scroll within themselves; the page does not.
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        sent = [entry["message"] for entry in browser.get_log("performance")]
        asked = [text for text in sent if '"Network.requestWillBeSent"' in text and '"url":"http' in text]
        assert asked == []
        broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        assert browser.execute_script(broken) == 0
        page, text = (
            browser.execute_script(f"return getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
        assert (brightness(page) > 200 > brightness(text)) is (scheme == "light")
        drawn = "return [...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill)[0]"
        if name != "beginning":
            assert browser.execute_script(drawn) == text
        if folder := os.environ.get("ULZOO_SCREENSHOTS"):
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            with open(f"{folder}/{name}-{scheme}-{width}.png", "wb") as file:
                file.write(base64.b64decode(shot["data"]))


def brightness(colour):
    return sum(map(int, colour[colour.index("(") + 1 : -1].split(",")[:3])) / 3


@pytest.mark.parametrize("width", WIDTHS)
def test_a_pair_is_enlarged_and_put_away_by_keyboard(browser, pages, width):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["run"], width, "light")
    button = browser.find_elements(By.CSS_SELECTOR, "button.open")[1]
    dialog = browser.find_element(By.ID, "example-1")
    assert not dialog.is_displayed()
    button.send_keys(Keys.ENTER)
    assert dialog.is_displayed()
    assert browser.switch_to.active_element.text == "Close"
    larger, small = (element.find_element(By.TAG_NAME, "img").size["width"] for element in (dialog, button))
    assert larger > 1.5 * small
    assert dialog.rect["width"] <= width
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert browser.switch_to.active_element == button
    # The focus can be seen.
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"


def test_the_first_stop_leads_past_the_navigation(browser, pages):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["run"], 1280, "light")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the content"
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


def test_a_link_to_a_protocol_unfolds_it(browser, pages):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["run"], 1280, "light")
    protocol = browser.find_element(By.ID, "protocol-1")
    assert not protocol.is_displayed()
    browser.find_element(By.CSS_SELECTOR, "a[href='#protocol-1']").send_keys(Keys.ENTER)
    assert protocol.is_displayed()
