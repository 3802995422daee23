"""The contents at the side: its arrows get names, and its buttons work on every page.

The theme's arrow that unfolds a page's children is a picture and nothing else. Its buttons that open and close the
contents stand on the page twice; only the hidden ones are wired.
"""


def name_the_arrows(app, pagename, templatename, context, doctree):
    generate = context.get("generate_toctree_html")
    if generate is None:
        return

    def named(*arguments, **options):
        return str(generate(*arguments, **options)).replace("<summary>", '<summary aria-label="Pages below this one">')

    context["generate_toctree_html"] = named


def setup(app):
    app.add_js_file("contents-button.js", loading_method="defer")
    app.connect("html-page-context", name_the_arrows, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
