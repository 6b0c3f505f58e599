"""A memory by name: whole or nothing of another form, and never a wrong value."""

from __future__ import annotations

from pathlib import Path

from pipelines.files.shelf import Shelf

VALUES = {"a": [1, None], "b\tc\nd": {"x": "é"}, "": 0.5}


def kept(file: Path, form: str = "values 1") -> Shelf:
    shelf = Shelf(file, form)
    for name, value in VALUES.items():
        shelf.put(name, value)
    shelf.save()
    return Shelf(file, form)


def test_what_was_put_is_there_again(tmp_path: Path) -> None:
    shelf = kept(tmp_path / "m")
    assert {name: shelf.get(name) for name in shelf} == VALUES
    assert shelf.get("other") is None


def test_a_file_of_another_form_holds_nothing(tmp_path: Path) -> None:
    kept(tmp_path / "m")
    for form in ("values 2", "values", "values 1\n", ""):
        other = Shelf(tmp_path / "m", form)
        assert ([*other], other.get("a")) == ([], None)
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes().partition(b"\n")[2])
    assert [*Shelf(tmp_path / "m", "values 1")] == []


def test_what_is_not_kept_is_gone(tmp_path: Path) -> None:
    shelf = kept(tmp_path / "m")
    shelf.keep(["a", "other"])
    shelf.save()
    assert [*Shelf(tmp_path / "m", "values 1")] == ["a"]


def test_a_torn_line_is_no_value(tmp_path: Path) -> None:
    file = tmp_path / "m"
    kept(file)
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        shelf = Shelf(file, "values 1")
        read = {name: shelf.get(name) for name in VALUES}
        # Part of a number is a number too: a value that counts is a list or a mapping.
        assert all(read[name] in (None, VALUES[name]) for name in ("a", "b\tc\nd")), cut
    assert len(whole) > 50


def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "m", "values 1")
    assert shelf.get("a") is None
    shelf.save()
    assert not (tmp_path / "m").exists()
