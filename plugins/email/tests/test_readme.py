"""The README knows every option, with the words of the option itself."""

from __future__ import annotations

from pathlib import Path

from metasync_email.options import EmailOptions

README = Path(__file__).parents[1] / "README.md"


def test_each_option_stands_in_the_readme_with_its_help() -> None:
    rows = [line.split(" | ") for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    table = {cells[0].removeprefix("| ").strip("`"): cells[1].removesuffix(" |") for cells in rows}
    assert table == {field.data_key or name: field.metadata["help"] for name, field in EmailOptions().fields.items()}
