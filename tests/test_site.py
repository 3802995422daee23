"""The built site: what a reader's browser receives. `make test` builds it first."""

import csv
import functools
import gzip
import random
import re
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
import yaml
from bs4 import BeautifulSoup
from readers_view import is_lesson
from retarget import listed_files

from focal_lib.lab.stored_runs import difference

ROOT = Path(__file__).parent.parent

SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]


def files_below(entry):
    """Every page of an entry of the table of contents, at any depth."""
    below = [entry["file"]] if "file" in entry else []
    for child in [*entry.get("parts", []), *entry.get("chapters", []), *entry.get("sections", [])]:
        below += files_below(child)
    return below


PAGES = [TOC["root"], *files_below(TOC)]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]


def test_the_contents_number_chapters_as_their_files_are_numbered():
    chapters = [page.split("/")[1] for page in NOTEBOOKS if page.count("/") == 1]
    assert [int(name[:2]) for name in chapters] == list(range(1, len(chapters) + 1)), chapters


@functools.cache
def soup(page):
    """A page of the built site, parsed once for all tests, which only read it."""
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


def test_what_the_welcome_page_says_of_the_gain_is_what_the_stored_runs_say():
    interval = re.compile(r"[+-]0\.\d{3} \[[+-]0\.\d{3}, [+-]0\.\d{3}\]")
    said = interval.findall((ROOT / "book" / "index.md").read_text("utf-8"))
    names = ("cross-entropy, weights", "focal γ=2", "focal γ=2, weights")
    beside = ("cross-entropy", "cross-entropy", "cross-entropy, weights")
    pairs = [(*pair, optimizer) for optimizer in ("adam", "adam, own rate") for pair in zip(names, beside, strict=True)]
    counted = [
        str(difference(first, second, "balanced_accuracy", data="resampled", optimizer=optimizer))
        for first, second, optimizer in pairs
    ]
    assert said == counted
    cells = soup("book/index").select("table.printed th[scope=row]")
    assert len(cells) == len(said) == len(soup("book/index").select("table.printed svg"))


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_what_comes_next_is_said_once_and_is_what_the_notebook_says(page):
    said = re.search(r"\*\*Next:\*\* \[[^]]*\]\(([^)]*)\.(?:ipynb|md)\)", (ROOT / f"{page}.ipynb").read_text("utf-8"))
    document = soup(page)
    onward = document.select_one(".prev-next-footer a.right-next")["href"].removesuffix(".html")
    assert said and said[1] == onward
    assert not [words for words in document.select("article p") if words.get_text().startswith("Next:")]


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_lead_somewhere(page):
    here = SITE / f"{page}.html"
    for tag in soup(page).find_all("a", href=True):
        url = urlparse(tag["href"])
        if url.scheme or url.netloc or not url.path:
            continue
        assert (here.parent / url.path).exists(), tag["href"]


def picture_words(document):
    """The words of each picture of a page, and of each drawing that stands for one."""
    return [
        picture.get("alt", picture.get("aria-label", "")) for picture in document.select("article :is(img, .drawn)")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_pictures_have_words(page):
    for words in picture_words(soup(page)):
        assert len(words) > 20 and not re.match(r".*[0-9a-f]{32}", words)


FIGURES = 250_000  # bytes, compressed, of the figures of one page


def weight_of_figures(document, page):
    """Bytes of a page's drawings and pictures as they travel."""
    drawings = "".join(map(str, document.select("article svg")))
    pictures = {picture["src"] for picture in document.select("article img[src]")}
    files = [(SITE / page).parent.joinpath(source).read_bytes() for source in pictures if source[:5] != "data:"]
    return sum(len(gzip.compress(part, 6)) for part in (drawings.encode(), *files))


@pytest.mark.parametrize("page", PAGES)
def test_figures_of_a_page_keep_their_budget(page):
    assert weight_of_figures(soup(page), page) <= FIGURES


def test_figures_that_are_too_heavy_are_found():
    page = "notebooks/01_imbalance"
    before = weight_of_figures(soup(page), page)
    points = random.Random(0).randbytes(FIGURES).hex()
    drawing = f'<article><svg><path d="{points}"/></svg></article>'
    assert 0 < before < FIGURES < weight_of_figures(BeautifulSoup(drawing, "html.parser"), page)


LAUNCHERS = {"colab.research.google.com", "mybinder.org"}


def launched(url):
    """Return the file of this repository that a Colab or Binder URL opens, having checked all the rest of the URL."""
    parts = urlparse(url)
    slug, ref = urlparse(REPOSITORY["url"]).path, REPOSITORY["branch"]
    if parts.netloc == "mybinder.org":
        assert parts.path == f"/v2/gh{slug}/{ref}"
        (opened,) = parse_qs(parts.query, strict_parsing=True)["urlpath"]
        assert opened.startswith("lab/tree/")  # JupyterLab
        return opened.removeprefix("lab/tree/")
    assert parts.path.startswith(f"/github{slug}/blob/{ref}/") and not parts.query
    return parts.path.removeprefix(f"/github{slug}/blob/{ref}/")


@pytest.mark.parametrize("page", PAGES)
def test_launch_buttons_lead_to_files_of_this_repository(page):
    """Runnable pages open in Colab and in Binder and can be downloaded; pages of prose offer none of these."""
    document = soup(page)
    links = {tag["href"] for tag in document.find_all("a", href=True) if urlparse(tag["href"]).netloc in LAUNCHERS}
    if page not in NOTEBOOKS:
        assert links == set()
        return
    assert {urlparse(link).netloc for link in links} == LAUNCHERS
    assert {launched(link) for link in links} == {f"{page}.ipynb"}
    assert f"{page}.ipynb" in listed_files(ROOT)
    downloads = [
        tag["href"] for tag in document.find_all("a", href=re.compile(r"\.ipynb$")) if "_sources" in tag["href"]
    ]
    assert downloads and all((SITE / page).parent.joinpath(url).exists() for url in downloads)
    assert document.find("a", href=REPOSITORY["url"])


@pytest.mark.parametrize(
    "url",
    [
        f"https://colab.research.google.com/github/{'someone/else'}/blob/{REPOSITORY['branch']}/a.ipynb",
        f"https://mybinder.org/v2/gh/{'someone/else'}/{REPOSITORY['branch']}?urlpath=lab/tree/a.ipynb",
        f"https://mybinder.org/v2/gh{urlparse(REPOSITORY['url']).path}/{REPOSITORY['branch']}?urlpath=tree/a.ipynb",
    ],
)
def test_a_wrong_launch_url_is_found(url):
    with pytest.raises(AssertionError):
        launched(url)


def test_the_readme_links_lead_to_files_of_this_repository():
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
    launches = [link for link in links if urlparse(link).netloc in LAUNCHERS]
    assert {urlparse(link).netloc for link in launches} == LAUNCHERS
    paths = [launched(link) for link in launches] + [link for link in links if not urlparse(link).netloc]
    assert len(paths) >= 4
    assert [path for path in paths if path not in listed_files(ROOT)] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_says_what_it_gives_and_how_long_it_takes(page):
    text = soup(page).find("main").get_text()
    assert re.search(r"[Yy]ou will (learn|find)", text) and "Time:" in text


@pytest.mark.parametrize(
    ("source", "tags", "open"),
    [
        ("plt.plot([1])\nplt.show()", [], False),
        ("print(1)", [], False),
        ("print(1)", ["lesson"], True),
        ("def loss(x):\n    return x\n\nprint(loss(1))", [], True),
        ("x = 1", [], True),
        ("%pip list\nprint(1)", [], False),
    ],
)
def test_cells_that_only_draw_or_print_are_folded(source, tags, open):
    assert is_lesson({"source": source, "metadata": {"tags": tags}}) == open


@pytest.mark.parametrize("page", [page for page in NOTEBOOKS if "exercises" not in page])
def test_a_chapter_shows_its_lesson_and_folds_its_plumbing(page):
    inputs = soup(page).select("article .cell_input")
    folded = [cell for cell in inputs if cell.find_parent("details")]
    assert 1 < len(folded) < len(inputs)


@pytest.mark.parametrize("page", PAGES)
def test_a_link_to_a_page_says_what_it_is(page):
    head = soup(page).head
    said = head.find("meta", attrs={"name": "description"})["content"]
    assert 40 < len(said) <= 203 and "<" not in said
    assert head.find("meta", property="og:description")["content"] == said


def test_every_exhibit_has_an_address_and_its_picture_words_of_its_own():
    document = soup("notebooks/06_bug_museum")
    for link in document.select(".gallery a"):
        assert document.find(id=link["href"].removeprefix("#"))
    alts = [words for words in picture_words(document) if "instead of" in words]
    assert len(alts) == len(set(alts)) > 30
    assert document.select(".highlight .hll")


def test_published_losses_have_a_badge_and_lead_to_the_exhibits():
    table = soup("notebooks/07_diagnose").select_one("table.published")
    with open(ROOT / "focal_lib" / "results" / "published.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(table.select(".verdict")) == len(table.select("tr:has(> td)")) == len(rows)
    museum = soup("notebooks/06_bug_museum")
    links = [link["href"] for link in table.select("a")]
    assert len(links) > 10 and all(museum.find(id=link.partition("#")[2]) for link in links)


def test_a_card_of_a_page_has_its_picture():
    for page in ("notebooks/02_loss_curve", "book/index"):
        card = soup(page).head.find("meta", property="og:image")["content"]
        assert (SITE / "_images" / card.rpartition("/")[2]).is_file()


def test_an_address_that_leads_nowhere_gets_a_page_with_ways_on():
    page = BeautifulSoup((SITE / "404.html").read_text(), "html.parser")
    assert "@" not in page.get_text() and page.base["href"].endswith("/")
    for link in page.select("a"):
        assert (SITE / link["href"]).is_file()
    assert not page.find_all(src=True) and not page.find_all("link")


@pytest.mark.parametrize("page", [page for page in NOTEBOOKS if "exercises" not in page])
def test_a_chapter_says_where_one_is_and_explains_its_terms_once(page):
    article = soup(page).select_one("article")
    chapters = [name for name in NOTEBOOKS if "exercises" not in name]
    assert article.select_one(".kicker").get_text().startswith(f"Chapter {int(page[10:12])} of {len(chapters)}")
    terms = [link["href"] for link in article.select("a:has(> .std-term)")]
    assert terms and len(terms) == len(set(terms)) and all("glossary.html#term-" in term for term in terms)


def test_every_claim_has_its_verdict_as_a_badge_and_they_are_counted():
    article = soup("book/claims").select_one("article")
    badges, claims = article.select(".verdict"), article.select("h3")
    assert len(badges) == len(claims) > 20
    assert f"{len(claims)} claims: " in article.get_text()
