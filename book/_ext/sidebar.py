"""The theme's arrow that unfolds a page's children in the sidebar gets a name: it is a picture and nothing else."""


def name_the_arrows(app, pagename, templatename, context, doctree):
    generate = context.get("generate_toctree_html")
    if generate is None:
        return

    def named(*arguments, **options):
        return str(generate(*arguments, **options)).replace("<summary>", '<summary aria-label="Pages below this one">')

    context["generate_toctree_html"] = named


def setup(app):
    app.connect("html-page-context", name_the_arrows, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
