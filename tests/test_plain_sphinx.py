"""Plain Sphinx builds the same pages, so that the book outlives its builder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup
from retarget import listed_files

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"


def words(page):
    article = BeautifulSoup(page.read_text("utf-8"), "html.parser").select_one("article")
    return article.get_text(" ", strip=True) if article else None


def test_plain_sphinx_builds_the_same_pages(tmp_path):
    source, output = tmp_path / "source", tmp_path / "html"
    for path in listed_files(ROOT):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    tools = Path(sys.executable).parent
    subprocess.run([tools / "jupyter-book", "config", "sphinx", source], check=True, capture_output=True)
    build = [tools / "sphinx-build", "--fail-on-warning", "--nitpicky", "--keep-going", "-b", "html", source, output]
    extensions = {**os.environ, "PYTHONPATH": str(source / "book" / "_ext")}  # what _config.yml calls local_extensions
    done = subprocess.run(build, capture_output=True, text=True, env=extensions)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {path.relative_to(SITE) for path in [*SITE.glob("book/*.html"), *SITE.glob("notebooks/**/*.html")]}
    assert len(pages) > 30
    for page in sorted(pages):
        assert words(output / page) == words(SITE / page), page
