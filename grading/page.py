"""What the pages that grading makes have in common: self-contained HTML, light and dark, printable, no script."""

import html

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1c2430; --soft: #566070; --paper: #fff; --edge: #d5dae1; --tint: #f3f5f8;
  --yes: #00664b; --no: #a03c00; --bar: #0072b2; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6eaf0; --soft: #a7b0bd; --paper: #14181e; --edge: #39424e;
  --tint: #1e242c; --yes: #4fd1a5; --no: #ff9d5c; --bar: #56b4e9; }} }}
body {{ font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: {width};
  margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ line-height: 1.25; break-after: avoid; }}
h1 {{ margin-bottom: 0.25rem; overflow-wrap: anywhere; }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid var(--edge); padding-top: 1rem; font-size: 1.3rem; }}
h3 {{ margin-bottom: 0.25rem; font-size: 1rem; }}
p, li, td {{ overflow-wrap: anywhere; }}
.score {{ font-size: 1.15rem; color: var(--soft); margin-top: 0; }}
.yes {{ color: var(--yes); }}
.no {{ color: var(--no); }}
.soft {{ color: var(--soft); }}
pre {{ background: var(--tint); border: 1px solid var(--edge); border-radius: 4px; padding: 0.6rem 0.8rem;
  font: 0.875rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.5rem 0; }}
.part {{ break-inside: avoid; }}
.hint {{ border-left: 4px solid var(--bar); padding-left: 0.8rem; }}
ol li {{ margin: 0.5rem 0; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.35rem 0.7rem 0.35rem 0; }}
tr {{ border-bottom: 1px solid var(--edge); }}
.wide td {{ overflow-wrap: break-word; }}
.wide table.many {{ min-width: 44rem; }}
td.n, th.n {{ text-align: right; }}
.bar {{ display: inline-block; height: 0.7rem; background: var(--bar); vertical-align: middle; }}
@page {{ margin: 18mm; }}
@media print {{ :root {{ color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --edge: #999; --tint: #fff;
  --yes: #000; --no: #000; --bar: #555; }} body {{ margin: 0; max-width: none; }} tr {{ break-inside: avoid; }}
  .wide {{ overflow: visible; }} .wide table.many {{ min-width: 0; font-size: 0.75rem; }}
  .bar {{ print-color-adjust: exact; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def whole(title, body, width="46rem"):
    """A page as bytes. ``title`` is plain text; ``body`` is HTML, in which whatever others wrote is escaped."""
    return PAGE.format(title=escape(title), body=body, width=width).encode("utf-8", errors="backslashreplace")


def escape(text, lines=False):
    """Text as HTML: no tag, no attribute, no control character; with ``lines``, its lines are kept."""
    if lines:
        return "\n".join(escape(line) for line in str(text).expandtabs(4).split("\n"))
    return html.escape("".join(c if c.isprintable() else " " for c in str(text)))
