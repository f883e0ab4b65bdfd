"""Runs examples/demo.ipynb; as a program, also stores what its cells show.

``PYTHONPATH=tests/support/documents python tests/support/documents/notebook.py``
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

DEMO = Path(__file__).resolve().parents[3] / "examples" / "demo.ipynb"


def executed(path: Path = DEMO) -> nbformat.NotebookNode:
    """The notebook with fresh outputs; nothing that changes from run to run is kept."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    }
    return notebook


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """Returns the texts that the cells print, without pictures."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error", output
            data = output.get("data", {})
            if "image/png" not in data:
                found.append(output.get("text", data.get("text/plain", "")))
    return found


if __name__ == "__main__":
    nbformat.write(executed(), DEMO)
