"""The README knows every option, with the words of the option itself."""

from __future__ import annotations

from pathlib import Path

from metasync_csv.options import CsvOptions

README = Path(__file__).parents[1] / "README.md"


def test_each_option_stands_in_the_readme_with_its_help() -> None:
    text = README.read_text(encoding="utf-8")
    table = {
        cells[1].strip().strip("`"): cells[3].strip()
        for line in text.partition("## Options")[2].splitlines()
        if line.startswith("| `") and len(cells := line.replace("\\|", "&#124;").split("|")) == 5
    }
    options = {field.data_key or name: field.metadata["help"].replace("|", "&#124;") for name, field in CsvOptions().fields.items()}
    assert table == options
