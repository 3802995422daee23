"""The classroom bundle: unpacked, its site opens from a file, and its notebooks run with nothing but its wheel."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from bs4 import BeautifulSoup
from bundle import bundle, main
from run_from_wheel import all_notebooks, run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    (wheel,) = folder.glob("*.whl")
    bundle(wheel, ROOT / "_build" / "html", folder / "lesson.zip")
    with zipfile.ZipFile(folder / "lesson.zip") as archive:
        archive.extractall(folder / "usb stick")
    return folder / "usb stick" / "lesson"


def test_it_holds_site_notebooks_wheel_and_five_lines(unpacked):
    assert {path.name for path in unpacked.iterdir() if path.suffix != ".whl"} == {"README.txt", "site", "notebooks"}
    notebooks = sorted(path.relative_to(unpacked) for path in unpacked.glob("notebooks/**/*.ipynb"))
    assert notebooks == [path.relative_to(ROOT) for path in all_notebooks()]
    assert not [path for path in unpacked.rglob("*") if "masters" in path.parts]
    assert len((unpacked / "README.txt").read_text().splitlines()) == 5


def test_its_site_judges_losses_too(unpacked):
    """The page's Python goes along, in as many parts as the page asks for."""
    assert (unpacked / "site" / "book" / "check.html").is_file()
    folder = unpacked / "site" / "_static" / "bench"
    many = int(re.search(r"\d+", (folder / "parts.js").read_text())[0])
    assert many > 5 and {path.name for path in folder.glob("part-*.js")} == {f"part-{i}.js" for i in range(many)}


def test_its_site_needs_no_server_and_no_network(unpacked):
    """Every script, style, picture and link of every page is a file of the bundle, with its name in full."""
    site = unpacked / "site"
    pages = [path for path in sorted(site.rglob("*.html")) if site / "_static" not in path.parents]  # theme's templates
    assert len(pages) > 5
    for page in pages:
        document = BeautifulSoup(page.read_text(), "html.parser")
        needed = [tag["src"] for tag in document.find_all(src=True) if not tag["src"].startswith("data:")]
        needed += [tag["href"] for tag in document.find_all("link", href=True) if "canonical" not in tag["rel"]]
        links = [tag["href"] for tag in document.find_all("a", href=True)]
        for url in map(urlparse, needed + [link for link in links if not urlparse(link).scheme]):
            assert not url.scheme and not url.netloc, url.geturl()
            assert not url.path or (page.parent / unquote(url.path)).is_file(), f"{page.name}: {url.geturl()}"


def test_its_readme_installs_the_library_and_a_notebook_runs(unpacked, tmp_path):
    (command,) = re.findall(r"python -m (pip install .+)", (unpacked / "README.txt").read_text())
    library = tmp_path / "library"
    subprocess.run(
        [sys.executable, "-m", *command.split(), "--target", library], cwd=unpacked, check=True, capture_output=True
    )
    seconds, _ = run(sorted((unpacked / "notebooks").glob("*.ipynb"))[0], library, colab=False)
    assert seconds > 0


def test_what_is_missing_is_said_in_one_sentence(tmp_path, monkeypatch, capsys):
    wheel = tmp_path / "w.whl"
    with pytest.raises(FileNotFoundError, match="expected the library's wheel: make wheel"):
        bundle(wheel, tmp_path, tmp_path / "lesson.zip")
    wheel.touch()
    with pytest.raises(FileNotFoundError, match="expected the built site: make book"):
        bundle(wheel, tmp_path, tmp_path / "lesson.zip")
    monkeypatch.setattr(sys, "argv", ["bundle", str(tmp_path / "dist" / "*.whl")])  # as a shell passes it on
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.endswith("expected the library's wheel: make wheel.\n")
    assert "Traceback" not in said


def test_the_folder_for_the_zip_need_not_be_there(tmp_path):
    (tmp_path / "w.whl").touch()
    (tmp_path / "index.html").touch()
    assert "site/index.html" in bundle(tmp_path / "w.whl", tmp_path, tmp_path / "dist" / "lesson.zip")
    assert (tmp_path / "dist" / "lesson.zip").is_file()
