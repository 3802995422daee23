"""What a chapter prints as a table becomes one on the site; differences with an interval get a picture beside it.

The notebooks print plain text, which every front end shows. Here four shapes of it are recognised: rows of cells set
apart by two spaces or more below a row of names; lines in which each number stands behind the same name; a row of marks
before each statement, below numbers; and lines that end in ``mean [low, high]``. All else stays text.
"""

import html
import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

INTERVAL = re.compile(r"([+-]\d+\.\d+) \[([+-]\d+\.\d+), ([+-]\d+\.\d+)\]")
NUMBER = re.compile(r"\u2013|[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?\s?%?(?: to [+-]?\d+(?:\.\d+)?\s?%?)?")
NAMES = {"pr auc": "PR-AUC", "ece": "ECE", "brier": "Brier score", "nll": "NLL", "f1": "F1", "auc": "AUC"}
MARKS = "✓✗·"
WIDTH, HEIGHT = 150, 16


def cells(line):
    return re.split(r"\s{2,}", line.strip())


def words(text):
    """Escaped, with names of metrics in words."""
    said = re.sub(r"\b(?:pr auc|auc|ece|brier|nll|f1)\b", lambda match: NAMES[match[0]], text.replace("_", " "))
    return html.escape(said)


def grid(lines):
    """How many of the lines from the first on are a table: (number of lines, rows), or None."""
    head = cells(lines[0])
    if lines[0].startswith("  ") and len(lines) > 1 and len(cells(lines[1])) == len(head) + 1:
        head = ["", *head]  # the rows' names have no name
    named = len(lines) > 1 and lines[1].rstrip().isidentifier()  # pandas sets the name of the rows on a line of its own
    if len(head) < 3 or lines[0].strip().endswith((".", ":")) or (NUMBER.fullmatch(head[1]) and not named):
        return None
    if named:
        head[0] = f"{lines[1].strip()} \u2193 {head[0]} \u2192" if NUMBER.fullmatch(head[1]) else lines[1].strip()
    rows, used = [head], 1 + named
    for line in lines[used:]:
        row = cells(line)
        numbers = [bool(NUMBER.fullmatch(cell)) for cell in row[1:]]
        if len(row) != len(head) or not all(numbers):
            break
        rows.append(row)
        used += 1
    return (used, rows) if len(rows) > 2 else None


def labelled(lines):
    """As ``grid``, of lines that repeat the names: a name, then (name of a number, number) as often as one likes."""
    rows = []
    for line in lines:
        name, *rest = cells(line)
        names, numbers = [cell.rstrip(":") for cell in rest[::2]], rest[1::2]
        rows = rows or [["", *names]]
        if not rest or rows[0][1:] != names or len(names) != len(numbers) or not all(map(NUMBER.fullmatch, numbers)):
            break
        rows.append([name, *numbers])
    return (len(rows) - 1, rows) if len(rows) > 3 else None


def board(lines):
    """As ``grid``, of a line such as ``versions 1 2 3`` and lines of so many marks with a statement behind them."""
    name, *columns = lines[0].split()
    if not columns or not all(map(str.isdigit, columns)):
        return None
    rows = [[name, *columns]]
    for line in lines[1:]:
        *marks, statement = line.split(maxsplit=len(columns))
        if len(marks) != len(columns) or not set(marks) <= set(MARKS):
            break
        rows.append([statement, *marks])
    return (len(rows), rows) if len(rows) > 2 else None


def grid_table(rows):
    head = "".join(f"<th scope=col>{words(cell)}</th>" if cell else "<td></td>" for cell in rows[0])
    body = ""
    for name, *values in rows[1:]:
        numbers = "".join(f"<td{' class=tick' * (value in MARKS)}>{html.escape(value)}</td>" for value in values)
        body += f"<tr><th scope=row>{words(name)}</th>{numbers}</tr>"
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def differences(lines):
    """(number of lines, groups of (heading, rows or notes)) of lines with intervals, from the first on, or None."""
    groups, used = [], 0
    while used < len(lines):
        line = lines[used]
        found = list(INTERVAL.finditer(line))
        if not found:
            follows = used + 1 < len(lines) and lines[used + 1].startswith(" ") and INTERVAL.search(lines[used + 1])
            if groups and line.startswith(" ") and line.strip():
                groups[-1][1].append(line.strip())
            elif follows and not line.startswith("---"):
                groups.append((line.strip().rstrip(":"), []))
            else:
                break
        else:
            if not groups:
                groups.append(("", []))
            end = 0
            for match in found:
                name = line[end : match.start()].strip(" ,")
                groups[-1][1].append((name, *match.groups()))
                end = match.end()
        used += 1
    return (used, groups) if any(isinstance(row, tuple) for _, rows in groups for row in rows) else None


def whiskers(mean, low, high, far):
    """A dot with its interval beside a line at zero; full where the interval excludes zero."""

    def x(value):
        return f"{WIDTH / 2 + value / far * (WIDTH / 2 - 8):.1f}"

    kind = "" if low <= 0 <= high else ' class="apart"'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" stroke="currentColor" aria-hidden=true>'
        f'<path d="M{WIDTH / 2} 0V{HEIGHT}"/><path class="between" d="M{x(low)} 8H{x(high)}"/>'
        f'<circle{kind} cx="{x(mean)}" cy="8" r="4.5"/></svg>'
    )


def difference_table(groups):
    rows = [row for _, group in groups for row in group if isinstance(row, tuple)]
    far = max(abs(float(bound)) for row in rows for bound in row[1:])
    head = "".join(f"<th scope=col>{name}</th>" for name in ("difference", "mean", "95\u00a0% interval", "beside 0"))
    body = ""
    for title, group in groups:
        if title:
            body += f"<tr><th colspan=4 scope=rowgroup>{words(title)}</th></tr>"
        for row in group:
            if isinstance(row, str):
                body += f"<tr><td colspan=4>{words(row)}</td></tr>"
                continue
            name, *numbers = row
            mean, low, high = (number.replace("-", "\u2212") for number in numbers)
            drawn = whiskers(*map(float, numbers), far)
            body += f"<tr><th scope=row>{words(name)}</th><td>{mean}</td><td>{low} to {high}</td><td>{drawn}</td></tr>"
    long = " class=long" * any(len(row[0]) > 30 for row in rows)  # a name that on a phone gets a line of its own
    return f"<thead><tr>{head}</tr></thead><tbody{long}>{body}</tbody>"


def by_measure(groups, measures):
    """One group for each measure, where every line gives an interval of each; the groups as they are otherwise."""
    lines = []
    for row in (row for _, rows in groups for row in rows):
        if isinstance(row, str) or not (row[0] or lines):
            return groups
        if row[0]:
            lines.append([row])
        else:
            lines[-1].append((lines[-1][0][0], *row[1:]))
    if any(len(line) != len(measures) for line in lines):
        return groups
    return [(measure.strip(), [line[k] for line in lines]) for k, measure in enumerate(measures)]


def parts(text):
    """A printed text as pieces: ("text", lines) and ("table", caption, HTML)."""
    lines, pieces, plain = text.rstrip("\n").split("\n"), [], []
    at = 0
    while at < len(lines):
        found, table = grid(lines[at:]) or labelled(lines[at:]) or (lines[at].strip() and board(lines[at:])), grid_table
        if not found:
            found, table = differences(lines[at:]), difference_table
        if not found:
            plain.append(lines[at])
            at += 1
            continue
        titled = plain and (plain[-1].startswith("---") or (len(plain) == 1 and ":" not in plain[0]))
        caption = plain.pop().strip(" -") if titled else ""
        if plain:
            pieces.append(("text", plain))
            plain = []
        rows, (title, _, measures) = found[1], caption.partition(": ")
        if table is difference_table and len(measures.split("; ")) > 1:
            grouped = by_measure(rows, measures.split("; "))
            rows, caption = (grouped, title) if grouped != rows else (rows, caption)
        pieces.append(("table", caption, table(rows)))
        at += found[0]
    return [*pieces, ("text", plain)] if any(line.strip() for line in plain) else pieces


class PrintedTables(SphinxPostTransform):
    default_priority = 3  # while the outputs are still whole
    formats = ("html",)

    def run(self):
        if not re.fullmatch(r"notebooks/\d\d_\w+|book/index", self.env.docname):
            return
        for block in list(self.document.findall(nodes.literal_block)):
            if "stream" not in block.get("classes", []):
                continue
            found = parts(block.astext())
            if not any(piece[0] == "table" for piece in found):
                continue
            new = []
            for kind, *piece in found:
                if kind == "text":
                    copy = block.deepcopy()
                    copy.children = []
                    copy.rawsource = "\n".join(piece[0])
                    copy += nodes.Text(copy.rawsource)
                    new.append(copy)
                else:
                    caption, table = piece
                    caption = f"<caption>{words(caption)}</caption>" if caption else ""
                    markup = f'<div class="printed"><table class="printed">{caption}{table}</table></div>'
                    new.append(nodes.raw("", markup, format="html"))
            block.parent.replace(block, new)


def setup(app):
    app.add_post_transform(PrintedTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
