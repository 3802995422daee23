"""The same object in a running JupyterLab: Python moves the view, the view moves Python."""

import re
import subprocess
import sys

import nbformat
import pytest

CELLS = [
    "from focal_lib.widgets import LossCurve\n\ncurve = LossCurve(gamma=1)\ncurve",
    "curve.gamma = 3",
    'print(f"Python sees {curve.gamma}")',
]


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab in an empty folder with one notebook."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, tmp_path / "view.ipynb")
    arguments = [
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={tmp_path}",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    address = next(
        match[0] for line in server.stderr if (match := re.search(r"http://(localhost|127.0.0.1):[1-9]\d*", line))
    )
    yield address
    server.terminate()
    server.wait()
    server.stderr.close()


def test_traits_travel_both_ways(chromium, lab):
    page = chromium.new_page()
    page.goto(f"{lab}/lab/tree/view.ipynb?reset", timeout=90_000)
    cell = page.locator(".jp-CodeCell")
    cell.nth(2).wait_for(timeout=90_000)

    def run(number):
        cell.nth(number).locator(".cm-content").click()
        page.keyboard.press("Control+Enter")

    run(0)
    slider = page.locator(".live input[data-trait=gamma]")
    slider.wait_for(timeout=60_000)
    assert slider.input_value() == "1"
    assert page.locator("[data-action=link]").count() == 0  # a notebook has no address to share
    run(1)
    page.wait_for_function("document.querySelector('.live input[data-trait=gamma]').value === '3'")
    slider.press("ArrowLeft")
    assert "γ = 2.9" in page.locator(".live-sentence").text_content()
    run(2)
    page.get_by_text("Python sees 2.9").wait_for()
    page.close()
