from pathlib import Path

from click.testing import CliRunner
from refusals import assert_usage_error

from crnn_benchmarks.cases.footprint import main, package_sizes


def install(folder: Path, name: str, size: int) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_bytes(b"#" * size)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{name}.py,,\n{name}.py,,\ngone.py,,\n")


def test_each_file_of_a_package_counts_once(tmp_path: Path) -> None:
    install(tmp_path, "small", 1000)
    install(tmp_path, "large", 3_000_000)
    assert package_sizes(tmp_path) == {("large", "1.0"): 3_000_000, ("small", "1.0"): 1000}
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert "| `large` 1.0 | 3.0 |\n| 1 others | 0.0 |\n| together | 3.0 |" in result.output


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert_usage_error(result, tmp_path)
