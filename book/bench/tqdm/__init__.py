"""No progress bar: the page shows its own."""


def tqdm(iterable=None, *_, **__):
    """What it is given."""
    return iterable
