"""The built site: what a reader's browser receives. `make test` builds it first."""

import re
from pathlib import Path
from urllib.parse import urlparse

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
CHAPTERS = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = [TOC["root"]] + [page["file"] for chapter in CHAPTERS for page in (chapter, *chapter.get("sections", []))]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]


def soup(page):
    path = SITE / f"{page}.html"
    assert path.is_file(), f"{path} is missing; build the book first: make book"
    return BeautifulSoup(path.read_text(), "html.parser")


@pytest.mark.parametrize("page", PAGES)
def test_page_asks_no_other_host_for_anything(page):
    """Links may lead elsewhere; scripts, styles, fonts and pictures may not come from elsewhere."""
    document = soup(page)
    wanted = [tag.get("src") for tag in document.find_all(src=True)]
    wanted += [tag["href"] for tag in document.find_all("link", href=True) if "canonical" not in tag.get("rel", [])]
    assert wanted
    assert [url for url in wanted if urlparse(url).netloc] == []


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_somewhere(page):
    here = SITE / f"{page}.html"
    for tag in soup(page).find_all("a", href=True):
        url = urlparse(tag["href"])
        if url.scheme or url.netloc or not url.path:
            continue
        assert (here.parent / url.path).exists(), tag["href"]


@pytest.mark.parametrize("page", PAGES)
def test_pictures_have_words(page):
    for picture in soup(page).select("article img"):
        assert len(picture.get("alt", "")) > 20 and not re.match(r".*[0-9a-f]{32}", picture["alt"])


@pytest.mark.parametrize("page", PAGES)
def test_launch_buttons_lead_to_files_of_this_repository(page):
    """Runnable pages open in Colab and can be downloaded; pages of prose offer neither."""
    document = soup(page)
    colab = {tag["href"] for tag in document.find_all("a", href=re.compile("colab.research.google.com/github"))}
    if page not in NOTEBOOKS:
        assert colab == set()
        return
    owner_and_name = urlparse(REPOSITORY["url"]).path
    prefix = f"https://colab.research.google.com/github{owner_and_name}/blob/{REPOSITORY['branch']}/"
    assert colab == {f"{prefix}{page}.ipynb"}
    assert (ROOT / f"{page}.ipynb").is_file()
    downloads = [
        tag["href"] for tag in document.find_all("a", href=re.compile(r"\.ipynb$")) if "_sources" in tag["href"]
    ]
    assert downloads and all((SITE / page).parent.joinpath(url).exists() for url in downloads)
    assert document.find("a", href=REPOSITORY["url"])


def test_the_readme_links_lead_to_files_of_this_repository():
    text = (ROOT / "README.md").read_text()
    paths = re.findall(rf"{urlparse(REPOSITORY['url']).path}/blob/{REPOSITORY['branch']}/([^)\s]+)", text)
    paths += re.findall(r"\]\(([A-Za-z][\w./-]+)\)", text)
    assert len(paths) >= 4
    for path in paths:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES)
def test_page_says_what_it_gives_and_how_long_it_takes(page):
    text = soup(page).find("main").get_text()
    assert re.search(r"[Yy]ou will (learn|find)", text) and "Time:" in text
