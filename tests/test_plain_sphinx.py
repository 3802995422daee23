"""Plain Sphinx builds the same pages, so that the book outlives its builder; of a retargeted clone, as a fork would."""

import os
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup
from retarget import Target, retarget, rewrite
from test_retarget import HERE, copy_of_the_tree

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"


def words(page):
    article = BeautifulSoup(page.read_text("utf-8"), "html.parser").select_one("article")
    return article.get_text(" ", strip=True) if article else None


def mentions(folder, word):
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes().lower()]


def test_plain_sphinx_builds_the_same_pages(tmp_path):
    """In a clone that was retargeted: but for where they lead, its pages are this book's; none names the old owner."""
    source, output = tmp_path / "source", tmp_path / "html"
    target = Target.parse("Focal-Loss.edu/focal.loss-book_2@v1.0")
    retarget(copy_of_the_tree(source), target)
    tools = Path(sys.executable).parent
    subprocess.run([tools / "jupyter-book", "config", "sphinx", source], check=True, capture_output=True)
    build = [tools / "sphinx-build", "--fail-on-warning", "--nitpicky", "--keep-going", "-b", "html"]
    build += ["-d", tmp_path / "doctrees", source, output]
    extensions = {**os.environ, "PYTHONPATH": str(source / "book" / "_ext")}  # what _config.yml calls local_extensions
    done = subprocess.run(build, capture_output=True, text=True, env=extensions)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {path.relative_to(SITE) for path in [*SITE.glob("book/*.html"), *SITE.glob("notebooks/**/*.html")]}
    assert len(pages) > 30
    for page in sorted(pages):
        here = words(SITE / page)
        assert words(output / page) == (here and rewrite(page.name, here, HERE, target)), page
    assert mentions(output, HERE.owner) == []
    page = (output / "notebooks" / "02_loss_curve.html").read_text()
    assert f"https://colab.research.google.com/github/{target.slug}/blob/v1.0/notebooks/02_loss_curve.ipynb" in page
    assert f"https://mybinder.org/v2/gh/{target.slug}/v1.0?urlpath=lab/tree/notebooks/02_loss_curve.ipynb" in page
    assert target.site in page
