"""`make lab`: JupyterLab in Chromium, chapters run from top to bottom, γ moved, a network trained, figures changed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).parent.parent.parent
MINUTES = 60_000  # in milliseconds
expect.set_options(timeout=MINUTES)
BOTH_WAYS = """
import ipywidgets
from focal_lib.widgets import LossCurve

curve = LossCurve(gamma=1)
heard = ipywidgets.Label()
curve.observe(lambda change: setattr(heard, "value", f"Python heard {change.new}"), "gamma")
display(curve, heard)
curve.gamma = 3
"""

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell in the page, also those out of sight
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # no question, no network
    "docmanager-extension/plugin": {"autosave": False},
}


def lab_command():
    """The very command that `make lab` runs, with this interpreter's environment."""
    plan = subprocess.run(["make", "--dry-run", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in plan.splitlines() if "jupyter lab" in line]
    _, *arguments = shlex.split(line)
    return [str(Path(sys.executable).parent / "jupyter"), *arguments]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a copy of the chapters, with no settings of this machine's user."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    both_ways = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BOTH_WAYS)])
    both_ways.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(both_ways, folder / "notebooks" / "both_ways.ipynb")
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    # In place of a browser, a script that notes which page it was to open; that page leads to JupyterLab.
    recorder, opened = folder / "browser.sh", folder / "opened"
    recorder.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part && mv {opened}.part {opened}\n')
    recorder.chmod(0o755)
    options = ["--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token="]
    options += [f"--ServerApp.browser={recorder} %s"]
    own = {f"JUPYTERLAB_{kind}_DIR": str(folder / kind.lower()) for kind in ("SETTINGS", "WORKSPACES")}
    environment = {**os.environ, **own, "JUPYTER_CONFIG_DIR": str(folder / "config")}
    log = folder / "log"
    with log.open("w") as file:
        server = subprocess.Popen([*lab_command(), *options], cwd=folder, env=environment, stderr=file)
        try:
            deadline = time.monotonic() + 120
            while not opened.exists():
                assert time.monotonic() < deadline and server.poll() is None, log.read_text()
                time.sleep(0.2)
            redirect = Path(urlparse(opened.read_text()).path).read_text()
            yield re.search(r'href="(http://[^"]+)"', redirect)[1]
        finally:
            server.terminate()
            server.wait()


@pytest.fixture
def open_chapter(chromium, lab):
    """open_chapter(name) -> the chapter in JupyterLab, every cell run after its stored outputs were cleared."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(2 * MINUTES)
    page = context.new_page()

    def menu(name, item):
        page.get_by_role("menuitem", name=name, exact=True).click()
        page.get_by_role("menuitem", name=item, exact=True).click()

    def open_chapter(name):  # in a workspace of its own: the shared one brings back what other tests had open
        page.goto(f"{lab.partition('/tree/')[0]}/workspaces/{name}/tree/{name}.ipynb")
        page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for()
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
        menu("Edit", "Clear Outputs of All Cells")
        expect(page.locator(".jp-CodeCell .jp-OutputArea-output")).to_have_count(0)
        menu("Run", "Run All Cells")
        page.wait_for_function(ALL_RAN, timeout=5 * MINUTES)
        assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts() == []
        return page

    yield open_chapter
    context.close()


ALL_RAN = """() => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
  return prompts.length > 0 && prompts.every((prompt) => /^\\[\\d+\\]:$/.test(prompt.textContent.trim()));
}"""


def test_make_lab_opens_the_first_chapter(chromium, lab):
    first = sorted((ROOT / "notebooks").glob("*.ipynb"))[0]
    assert lab.endswith(f"/lab/tree/{first.name}")
    page = chromium.new_page()
    page.goto(lab)
    page.get_by_role("tab", name=first.name).wait_for(timeout=2 * MINUTES)
    page.close()


def test_moving_gamma_changes_the_curve_and_its_sentence(open_chapter):
    """By keyboard too: JupyterLab must not keep the arrow keys for itself."""
    view = open_chapter("02_loss_curve").locator(".jp-OutputArea-output:has(.live-drawing)").first
    gamma = view.locator("input[type=range]").first
    drawing, sentence = view.locator(".live-drawing"), view.locator(".live-sentence")
    for move in (gamma.click, lambda: gamma.press("ArrowRight"), lambda: gamma.press("ArrowUp")):
        before, said = drawing.inner_html(), sentence.inner_text()
        move()
        expect(sentence).not_to_have_text(said, use_inner_text=True)
        assert drawing.inner_html() != before


def test_python_moves_the_view_and_the_view_moves_python(open_chapter):
    page = open_chapter("both_ways")
    gamma = page.locator(".live input[data-trait=gamma]")
    expect(gamma).to_have_value("3")
    gamma.press("ArrowLeft")
    expect(page.get_by_text("Python heard 2.9")).to_be_visible()
    assert page.locator("[data-action=link]").count() == 0  # a notebook has no address to share


def test_training_with_another_gamma_changes_the_figure(open_chapter):
    page = open_chapter("05_training")
    panel = page.locator(".jp-OutputArea-output:has(.jupyter-button)").first
    gamma = panel.locator(".widget-hslider", has_text="γ").locator(".noUi-target")
    figure = panel.locator("img")
    panel.get_by_role("button", name="Run").click()
    figure.wait_for()
    before = figure.get_attribute("src")
    gamma.click(position={"x": 2, "y": 2})  # γ near 0
    panel.get_by_role("button", name="Run").click()
    expect(figure).not_to_have_attribute("src", before)
