"""What becomes of an article of the site on paper: nothing folds or moves, answers stand apart, there is room to write.

`tools/paper.py` makes the PDF and the EPUB of these articles.
"""

import base64
import copy
import math
import re
from urllib.parse import unquote, urljoin, urlparse

from bs4 import BeautifulSoup

# What is for a screen only: scripts, handles, folded set-up code, ways to run a cell, icons and thumbnails of links.
FURNITURE = (
    "script, style, .headerlink, .tag_hide-input > details.hide, .tag_remove-input, button, link, .needs-python > p, "
    "svg, .sd-summary-state-marker, details:is(.reveal, .room) > summary, .run-it, "
    "table.printed:has(svg) thead th:last-child, table.printed td:has(> svg)"
)
BACK = "answers"  # the slug of the chapter at the end
ROOM = {"predict": 2, "expose": 8, "fix": 14}  # lines to write on for each thing that an exercise checks
CHAPTER = re.compile(r"notebooks/\d\d_\w+")
AT = range(-3, 4)  # where a small table gives the functions that one works with by hand
VALUES = {
    "e<sup>x</sup>": math.exp,
    "p = 1 / (1 + e<sup>−x</sup>)": lambda x: 1 / (1 + math.exp(-x)),
    "−log p": lambda x: math.log1p(math.exp(-x)),
}


def slug(page):
    return page.replace("/", "-").replace("_", "-")


def article(path, page, known, home):
    """The article of a page, with addresses that hold in a book, and what was folded in it as answers.

    Ids and links begin with the page's slug. `known` are the pages of the book, `home` is the address of the site.
    Returns (article, answers); the answers are (group, elements), such as ("Hint 1", [...]), in reading order.
    """
    found = BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("article")
    hang_wall(found)
    for drawing in found.select("svg.drawn.narrow"):
        drawing.decompose()
    for drawing in found.select("svg.drawn"):
        drawing.replace_with(as_picture(drawing))
    code = code_apart(found, page) if CHAPTER.fullmatch(page) else []
    for thing in found.select(FURNITURE):
        thing.decompose()
    for view in found.select(".live-view"):
        say(view, page, home)
    answers = [*hints_apart(found, page), *questions_apart(found, page), *answers_apart(found, page), *code]
    leave_room(found, page, home)
    if CHAPTER.fullmatch(page):
        bets(found)
        where_to_run(found, page, home, bool(code))
    for _, elements in answers:
        settle(elements, path, page, known)
    for link in found.select("a[href]:has(.doc, .std-doc)"):  # to a whole page
        if (target := inside(link["href"], page, known) or "").startswith("#"):
            link.insert_after(number_of(target[1:]))
    settle([found], path, page, known)
    found.name, found["class"], found["id"] = "section", "chapter", slug(page)
    return found, answers


def settle(elements, path, page, known):
    """Unfold what folds, and give ids, links and pictures addresses that hold in a book."""
    for found in elements:
        for summary in found.select("details > summary"):
            summary.name, summary["class"] = "p", "folded"
        for details in found.select("details"):
            details.name = "div"
            details.attrs.pop("open", None)
        for figure in found.select("figure, figcaption"):  # for Chromium a picture of its own, without words
            figure.name = "div" if figure.name == "figure" or figure.p is not None else "p"
        for cell in found.select("td, th"):  # Chromium gives an empty cell no tag
            if not cell.get_text(strip=True) and cell.img is None:
                cell.string = "–"
        for thing in found.select("[id]"):
            thing["id"] = f"{slug(page)}--{thing['id']}"
        for link in found.select("a[href]"):
            link["href"] = inside(link["href"], page, known)
            if link["href"] is None:
                link.unwrap()
        for image in found.select("img"):
            if not image["src"].startswith("data:"):
                image["src"] = (path.parent / unquote(image["src"])).resolve().as_uri()


def inside(address, page, known):
    """Where a link of a page leads in the book; None where that page is not in it."""
    if urlparse(address).scheme or address.startswith(f"#{BACK}--"):
        return address
    target = urlparse(urljoin(f"{page}.html", address))
    name = target.path.removesuffix(".html")
    if name not in known:
        return None
    return f"#{slug(name)}--{target.fragment}" if target.fragment else f"#{slug(name)}"


def made(markup):
    """One element from its markup."""
    return BeautifulSoup(markup, "html.parser").contents[0]


def on_the_site(page, home, place=""):
    """A link to the page on the site, with its address to read: paper cannot be clicked."""
    address = f"{home}{page}.html{place}"
    return f'<a href="{address}">{address.removeprefix("https://")}</a>'


def number_of(target):
    """Where the number of the page of a place will stand; `tools/paper.py` knows it once it has printed."""
    return made(f'<span class="page-of" data-of="{target}"></span>')


def as_picture(drawing):
    """The picture that a drawing was made beside: the same in black on white."""
    image = made("<img>")
    image["src"], image["alt"] = drawing["data-picture"], drawing["aria-label"]
    image["class"] = [name for name in drawing["class"] if name != "drawn"]
    image.attrs |= {name: drawing[name] for name in ("width", "height", "style")}
    return image


def hang_wall(found):
    """The frames of a wall of bugs, which are drawings in links, become pictures in a list of links."""
    for wall in found.select(".gallery"):
        wall.name = "ul"
        for link in wall.select("a"):
            link.wrap(made("<li></li>"))
            if (drawing := link.svg) is not None:
                drawing.replace_with(picture(drawing))
    for count in found.select(".gallery-room small"):
        count.decompose()


def picture(drawing):
    """A drawing of the wall as a picture in black and grey, without words: its link has them."""
    drawing["xmlns"], drawing["viewBox"] = "http://www.w3.org/2000/svg", drawing.attrs.pop("viewbox")
    for line in drawing.select("polyline"):
        bug = "b" in line["class"]
        line["fill"], line["stroke"], line["stroke-width"] = "none", "#b34a00" if bug else "#0072b2", "2"
        if bug:
            line["stroke-dasharray"] = "7 2"
    return made(f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(str(drawing).encode()).decode()}">')


def say(view, page, home):
    """Below the picture of a live view, its sentence and where it moves: on paper nobody can move it."""
    section = view.find_parent("section", id=True)
    if view.img is not None and view.img.get("alt"):
        sentence = made('<p class="says"></p>')
        sentence.string = view.img["alt"]
        view.append(sentence)
    place = f"#{section['id']}" if section is not None else ""
    view.append(made(f'<p class="moves">This view moves on the site: {on_the_site(page, home, place)}</p>'))


def hints_apart(found, page):
    """Take the hints of an exercise out of it; a sentence tells where they are."""
    section = found.select_one("section#hints")
    if section is None:
        return []
    taken = []
    for details in section.find_all("details", recursive=False):
        group = details.summary.get_text().partition(":")[0].strip()
        inner = details.select_one("details") or details
        inner.summary.decompose()
        taken.append((group, inner.find_all(recursive=False)))
        details.extract()
    links = ", ".join(lead(page, group) for group, _ in taken)
    section.find("p").replace_with(made(f"<p>At the end of the book, so that you see one at a time: {links}.</p>"))
    return taken


def questions_apart(found, page):
    """Of a question what one can choose stays, with letters; why each choice is right or wrong goes to the end."""
    taken = []
    for question in found.select(".question"):
        options, answers = made('<ol type="A"></ol>'), made('<ol type="A"></ol>')
        for details in question.select("details.answer"):
            option, why = made("<li></li>"), made("<li></li>")
            option.extend(list(details.summary.extract().contents))
            why.extend(list(details.extract().contents))
            options.append(option)
            answers.append(why)
        taken += [copy.copy(question.p), answers]
        question.extend([options, made(f"<p>Which is right, and why: {lead(page, 'Questions')}</p>")])
    return [("Questions", taken)] if taken else []


def answers_apart(found, page):
    """Take the answers to the exercises of a chapter out of it, and leave room to write after each exercise."""
    taken = []
    for details in found.select("details.sd-dropdown"):
        if details.summary.get_text().strip() != "Answers":
            continue
        asked = details.find_previous_sibling("ol")
        for item in asked.find_all("li", recursive=False) if asked is not None else ():
            item.append(lines(3))
        taken += details.select_one(".sd-summary-content").find_all(recursive=False)
        details.replace_with(made(f"<p>{lead(page, 'Answers')}.</p>"))
    return [("Answers", taken)] if taken else []


def code_apart(found, page):
    """Take the code that a chapter folds out of it, but for the setup: text and exercises name what it defines."""
    folded = found.select(".tag_hide-input > details.hide")
    taken = [
        details.select_one(".highlight").extract()
        for details in folded
        if details.select_one(".highlight") and not details.summary.get_text().strip().startswith("Setup")
    ]
    return [("Code", taken)] if taken else []


def bets(found):
    """Room to write below each prediction that a chapter asks for; what answers it begins a page of its own."""
    for asked in [thing for thing in found.select("p") if thing.get_text().lstrip().startswith("Predict")]:
        said = [asked]
        while (after := said[-1].find_next_sibling()) is not None and after.name in ("p", "ol", "ul"):
            said.append(after)
        items = [item for thing in said for item in thing.select("li")]
        said[-1].insert_after(lines(max(2, len(items))))
    for heading in found.select("h2, h3"):
        if heading.get_text().strip().startswith("Predict"):
            for cell in heading.parent.select(".cell"):
                if cell.get_text().strip().startswith("my_guess"):
                    cell.decompose()
            heading.parent.append(lines(2))
    for answer in found.select("details.reveal"):
        section = answer.parent
        if not any(thing.get_text(strip=True) for thing in answer.find_previous_siblings() if thing.name != "h2"):
            answer["class"], section["class"] = "", "reveal"  # nothing but its heading is before it
            answer = section
        answer.insert_before(made('<p class="on-paper">The answer is on the next page.</p>'))


def where_to_run(found, page, home, has_code):
    """Before the exercises of a chapter: where its code runs, and where the code stands that is not printed here."""
    heading = next((thing for thing in found.select("p") if thing.get_text().strip() == "Exercises"), None)
    if heading is None:
        return
    heading["class"] = "leads"
    where = f"What needs a computer can be run on {on_the_site(page, home)}."
    code = f" Code that only draws or prints stands at the end: {lead(page, 'Code')}." if has_code else ""
    heading.insert_after(made(f'<p class="leads">{where}{code}</p>'))


def lead(page, group):
    """A link to where the answers of a page in a group are, with the number of that page."""
    target = place_of(page, group)
    return f'<a href="#{target}">{group}</a>{number_of(target)}'


def place_of(page, group):
    return f"{BACK}--{slug(group.lower().replace(' ', '-'))}-{slug(page)}"


def lines(count):
    """Ruled lines to write on; they say nothing, so they are not read aloud."""
    return made(f'<div class="lines" aria-hidden="true">{"<div></div>" * count}</div>')


def leave_room(found, page, home):
    """Room to write where an exercise waits for something, and how to have it checked."""
    cells = [cell for cell in found.select(".cell") if cell.select_one(".cell_input pre") is not None]
    code = [cell.select_one(".cell_input pre").get_text().strip() for cell in cells]
    if not any(text.startswith("prediction = ...") for text in code):
        return
    for cell, text in zip(cells, code, strict=True):
        for check, count in ROOM.items():  # below what the check says, since that says how to write it
            if text.startswith(f"exercise.{check}("):
                if check == "expose":
                    cell.append(values())
                elif check == "fix" and (said := cell.select_one(".cell_output")) is not None:
                    said.decompose()  # it says no more than that nothing was written yet
                cell.append(lines(count))
        if text == "exercise.progress()":
            cell.decompose()
    found.h1.insert_after(
        made(
            "<p class='on-paper'><strong>On paper:</strong> write on the lines. The checks, and their ✓, are on "
            f"{on_the_site(page, home)}, where you can type in what you wrote. Without it, compare with "
            f"the hints, one at a time ({lead(page, 'Hint 1')}), and then with {lead(page, 'What to keep')}.</p>"
        )
    )


def values():
    """A small table of the functions that one needs to work out a loss by hand; a screen has a calculator."""
    head = "".join(f'<th scope="col">{signed(x)}</th>' for x in AT)
    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{value(x):.3f}</td>" for x in AT)}</tr>'
        for name, value in VALUES.items()
    )
    return made(
        '<div class="on-paper"><p>To work with, without a calculator:</p>'
        f'<table><thead><tr><th scope="col">x</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def signed(number):
    return str(number).replace("-", "−")


def back_matter(answers, names):
    """The chapter at the end: all answers, all first hints, all second hints, so that nobody reads one too many; code.

    `answers` are (page, group, elements); `names` gives the title of each page.
    """
    groups = {}
    for page, group, elements in answers:
        groups.setdefault(group, []).append((page, elements))
    if "Code" in groups:
        groups["Code"] = groups.pop("Code")  # last: the longest, and for looking things up
    chapter = made(f'<section class="chapter" id="{BACK}"><h1>Answers, hints and code</h1></section>')
    for group, entries in groups.items():
        part = made(f'<section id="{BACK}--{slug(group.lower().replace(" ", "-"))}"><h2>{group}</h2></section>')
        for page, elements in entries:
            entry = made(f'<section id="{place_of(page, group)}"><h3><a href="#{slug(page)}"></a></h3></section>')
            entry.a.string = names[page]
            entry.extend(elements)
            part.append(entry)
        chapter.append(part)
    return chapter
