"""The one setup cell that starts every notebook; tools/run_notebooks.py writes it there, a test compares the bytes."""

SETUP_METADATA = {"tags": ["hide-input"], "mystnb": {"code_prompt_show": "Setup: show the code"}}

SETUP_CELL = """\
# Setup. Does nothing where focal_lib is installed; on Colab, adds focal_lib and touches nothing else.
import importlib.util
import subprocess
import sys

SOURCE = "git+https://github.com/focal-loss-book/focal-loss@main"
if importlib.util.find_spec("focal_lib") is None:
    if "google.colab" not in sys.modules:
        raise ModuleNotFoundError(f"This notebook needs focal_lib; install it with: pip install {SOURCE}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", SOURCE], check=True)"""
