"""What this torch lacks says so, by name."""

COLAB = "it is not on this page; run it in Colab, or where torch is installed"


class NotOnThisPage(NotImplementedError):
    """Real torch has it, the small one has not."""


def not_here(name):
    return NotOnThisPage(f"{name}: {COLAB}")
