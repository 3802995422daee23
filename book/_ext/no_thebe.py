"""Remove sphinx-thebe's scripts: Jupyter Book always adds them, twice, and the second copy is a console error."""


def remove_scripts(app, pagename, templatename, context, doctree):
    def is_thebe(script):
        return "thebe" in str(getattr(script, "filename", None) or "") or "THEBE_JS_URL" in str(
            getattr(script, "attributes", {}).get("body", "")
        )

    context["script_files"][:] = [script for script in context["script_files"] if not is_thebe(script)]


def setup(app):
    app.connect("html-page-context", remove_scripts, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
