"""The page on a class, printed: all its columns are on the paper."""

import sys

from exercise_notebooks import ROOT, SLUGS

sys.path.insert(0, str(ROOT / "grading"))
import report

A4 = int((210 - 36) / 25.4 * 96)  # less the margins of its @page
BEYOND = "[...document.querySelectorAll('td, th')].filter(c => c.getBoundingClientRect().right > innerWidth + 1).length"


def test_the_teachers_page_fits_on_paper(chromium, tmp_path):
    said = "You mended one fault and made another. Proof: logits [[-1, -3, -3], [0, -2, 3]], target [0, 0]: got 1.6."
    parts = {"predict": [1, "Right."], "expose": [0, "nothing was answered."], "fix": [0, said]}
    one = {"exercise": SLUGS[0], "parts": parts, "status": "graded", "seconds": 1.0}
    report.write_report([("García Ñúñez, Ana María", tmp_path / "a.ipynb", one)], tmp_path, 1)
    page = chromium.new_page(viewport={"width": A4, "height": 900})
    page.goto((tmp_path / "class.html").as_uri())
    assert page.evaluate(BEYOND) > 0  # on a screen of this width a table scrolls
    page.emulate_media(media="print")
    assert page.evaluate(BEYOND) == 0
    page.close()
