"""Point the whole book at another GitHub repository: python tools/retarget.py OWNER/REPO[@REF]

`_config.yml` says where the book lives: repository.url and repository.branch. Everything else that shows it (setup
cells, badges, README, citation, the site's address) is derived from there. This script rewrites all of them at once;
with `--check` it changes nothing and fails where a file disagrees with `_config.yml`.

It changes only mentions of the repository, so edits that are not committed stay. To undo it, retarget back.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from tqdm import tqdm

ROOT = Path(__file__).parent.parent

# What a name may go on with: `REPO` ends in `REPO/blob/` and in `REPO.`, but not in `REPO-extra` or in `REPO.js`.
END = r"(?![\w-]|\.\w)"

# Links that can only lead to this book: whose, and at which branch or tag.
OWN_LINKS = [
    r"colab\.research\.google\.com/github/(?P<slug>[\w.-]+/[\w.-]+)/blob/(?P<ref>[\w.-]+)/",
    r"mybinder\.org/v2/gh/(?P<slug>[\w.-]+/[\w.-]+)/(?P<ref>[\w.-]+)",
    r"git\+https://github\.com/(?P<slug>[\w.-]+/[\w.-]+?)@(?P<ref>[\w.-]+)",
]


@dataclass(frozen=True)
class Target:
    owner: str
    repo: str
    ref: str = "main"

    @classmethod
    def parse(cls, text):
        match = re.fullmatch(r"(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)(@(?P<ref>[\w.-]*\w))?", text)
        if not match or match["repo"].endswith(".git"):
            raise ValueError(
                f"{text!r} is not OWNER/REPO or OWNER/REPO@REF, for example ada/focal-loss@v1.0 "
                "(a branch with a slash has no Colab link)."
            )
        return cls(match["owner"], match["repo"], match["ref"] or "main")

    @classmethod
    def configured(cls, root=ROOT):
        repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
        return cls.parse(f"{repository['url'].removeprefix('https://github.com/')}@{repository['branch']}")

    @property
    def slug(self):
        return f"{self.owner}/{self.repo}"

    @property
    def url(self):
        return f"https://github.com/{self.slug}"

    @property
    def pip_source(self):
        return f"git+{self.url}@{self.ref}"

    @property
    def site(self):
        """Where GitHub Pages serves the book; a repository named OWNER.github.io is served at the top."""
        host = f"{self.owner.lower()}.github.io"
        return f"https://{host}/" if self.repo.lower() == host else f"https://{host}/{self.repo}/"

    def __str__(self):
        return f"{self.slug}@{self.ref}"


def rewrite(name, text, old, new):
    """Return the text of file `name` with every mention of `old` turned into `new`."""
    text = text.replace(old.site, new.site)
    text = re.sub(
        rf"(?P<host>github\.com/|google\.com/github/|mybinder\.org/v2/gh/){re.escape(old.slug)}{END}"
        rf"(?:(?P<sep>/blob/|/tree/|/raw/|@|(?<=gh/{re.escape(old.slug)})/){re.escape(old.ref)}{END})?",
        lambda match: f"{match['host']}{new.slug}" + (f"{match['sep']}{new.ref}" if match["sep"] else ""),
        text,
    )
    if name == "_config.yml":
        # A tag such as 1.0 needs quotes, or YAML reads a number.
        plain = yaml.safe_load(new.ref) == new.ref
        branch = new.ref if plain else f'"{new.ref}"'
        text = re.sub(r"(?m)^(  branch: ).*$", lambda match: match[1] + branch, text)
    return text


def disagreements(name, text, target):
    """Return what in the text of file `name` leads elsewhere than to `target`."""
    found = []
    for pattern in OWN_LINKS:
        for match in re.finditer(pattern, text):
            if (match["slug"], match["ref"]) != (target.slug, target.ref):
                found.append(match[0])
    fields = {
        "_config.yml": {"  baseurl": target.site},
        "CITATION.cff": {"repository-code": target.url, "url": target.site},
        "pyproject.toml": {"Repository": f'"{target.url}"'},
    }
    for field, wanted in fields.get(name, {}).items():
        match = re.search(rf"(?m)^{field}(?:: | = )(.+)$", text)
        if not match or match[1] != wanted:
            found.append(match[0].strip() if match else f"no line {field.strip()}")
    return found


def listed_files(root):
    """Return the names of the files that git tracks or would track, and that are there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if listing.returncode:
        raise ValueError(f"{root} is not a git repository; expected a clone of the book.")
    names = filter(None, listing.stdout.split("\0"))
    return sorted(name for name in names if (root / name).is_file() and not (root / name).is_symlink())


def text_files(root):
    """Yield (name, text) of each listed file but pictures and the like."""
    for name in listed_files(root):
        data = (root / name).read_bytes()
        if b"\0" not in data:
            yield name, data.decode("utf-8")


def retarget(root, new):
    """Rewrite the tree below `root`; return the names of the changed files. All files or none are written."""
    old = Target.configured(root)
    changed = {}
    for name, text in tqdm(list(text_files(root)), unit="file", leave=False):
        result = rewrite(name, text, old, new)
        if rewrite(name, result, new, old) != text:
            raise ValueError(f"{name} already mentions {new}; the change could not be undone, so nothing was changed.")
        if result != text:
            changed[name] = result
    for name, text in changed.items():
        (root / name).write_bytes(text.encode("utf-8"))
    return sorted(changed)


def check(root):
    """Return one line for each place that disagrees with `_config.yml`."""
    target = Target.configured(root)
    return [
        f"{name}: {found} (expected {target})"
        for name, text in text_files(root)
        for found in disagreements(name, text, target)
    ]


def main(arguments=None, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", metavar="OWNER/REPO[@REF]", help="REF is a branch or a tag; default main")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where files disagree")
    options = parser.parse_args(arguments)
    if options.check == bool(options.target):
        parser.error("give either OWNER/REPO[@REF] or --check.")
    try:
        if options.check:
            wrong = check(root)
            print("\n".join(wrong) or f"Everything leads to {Target.configured(root)}.")
            return bool(wrong)
        new = Target.parse(options.target)
        names = retarget(root, new)
    except ValueError as error:
        parser.error(str(error))
    print(f"{len(names)} files changed; the book now lives at {new}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
