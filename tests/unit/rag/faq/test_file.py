"""The file of an FAQ: read whole, or refused with everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.llm.tables import TableError
from holdfast.rag.faq import Faq
from holdfast.rag.faq.configured import configured_faq
from holdfast.rag.faq.file import MAX_BYTES, MAX_ENTRIES, read_faq
from holdfast.rag.settings import load_settings
from holdfast.sample import articles_dir, faq_path, install_faq

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = '[[faq]]\nid = "a"\nquestions = ["How?"]\nanswer = "So."\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "faq.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(TableError) as caught:
        read_faq(path)
    assert caught.value.file == str(path)
    return [str(problem) for problem in caught.value.problems]


def test_entries_are_read_in_order_and_the_collection_at_the_top_holds_for_all(tmp_path: Path) -> None:
    """Entries come as they stand in the file; one that names a collection keeps its own."""
    other = ENTRY.replace('"a"', '"b"') + 'collection = "school"\nkeywords = ["k"]\nuri = "u"\n'
    text = f'collection = "shop"\n{ENTRY}{other}'
    first, second = read_faq(written(tmp_path, text))
    assert (first.id, first.collection, second.id, second.collection) == ("a", "shop", "b", "school")
    assert (second.keywords, second.uri) == (("k",), "u")


def test_everything_that_is_wrong_is_told_with_entry_field_and_rule(tmp_path: Path) -> None:
    """One error lists every mistake of the file: the entry by number and id, the field, the rule."""
    text = (
        'colection = "x"\n'
        + ENTRY
        + '[[faq]]\nid = "b"\nquestion = ["How?"]\nanswer = "So."\n'
        + '[[faq]]\nid = "a"\nquestions = ["How?"]\nanswer = "So."\n'
        + '[[faq]]\nid = "c d"\nquestions = ["How?"]\nanswer = "So."\n'
        + '[[faq]]\nquestions = ["How?", ""]\n'
    )
    found = problems_of(written(tmp_path, text))
    assert [line.split(":")[0].split("=")[0] for line in found] == [
        "colection",
        "faq[2] (b).question",
        "faq[2] (b).questions",
        "faq[3] (a).id",
        "faq[4] (c d).id",
        "faq[5].id",
        "faq[5].answer",
    ]
    assert "did you mean collection?" in found[0]
    assert "did you mean questions?" in found[1]
    assert "is missing" in found[2]
    assert "is the id of faq[1] already" in found[3]


def test_a_value_inside_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    """The error of one keyword says which one it is."""
    (problem,) = problems_of(written(tmp_path, ENTRY + 'keywords = ["good", 7]\n'))
    assert problem.startswith("faq[1] (a).keywords[1]=7: must be one line")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be 1 to 1,000 entries"),
        ('faq = "x"', "must be 1 to 1,000 entries"),
        ("faq = [1]", "must be a table"),
        ("[[faq]\n", "not valid TOML"),
        ("collection = 3\n" + ENTRY, "collection=3: must be one line"),
        ("\n".join(ENTRY.replace('"a"', f'"a{n}"') for n in range(MAX_ENTRIES + 1)), "must be 1 to 1,000 entries"),
    ],
)
def test_a_file_that_is_no_faq_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """A file that holds no entries, too many, or something else is refused with one sentence."""
    (problem,) = problems_of(written(tmp_path, text))
    assert says in problem


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file, another encoding and a file beyond the bound are named, the last without being read."""
    assert "cannot be read" in problems_of(tmp_path / "none.toml")[0]
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    assert "not UTF-8" in problems_of(tmp_path / "latin.toml")[0]
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert f"at most {MAX_BYTES:,} are read" in problems_of(large)[0]


def test_the_settings_name_the_file_or_the_data_folder_holds_it(tmp_path: Path) -> None:
    """A file that is named must be there; the one in the data folder is taken where there is one."""
    environ: dict[str, str] = {}
    assert configured_faq(load_settings(environ=environ, data_dir=tmp_path)) is None
    written(tmp_path, ENTRY)
    usual = configured_faq(load_settings(environ=environ, data_dir=tmp_path))
    assert usual is not None
    assert len(usual) == 1
    other = tmp_path / "other.toml"
    other.write_text(ENTRY.replace('"a"', '"other"'), encoding="utf-8")
    named = configured_faq(load_settings(environ=environ, data_dir=tmp_path, faq_file=other))
    assert named is not None
    assert named.entries[0].id == "other"
    with pytest.raises(ConfigError, match="cannot be read"):
        configured_faq(load_settings(environ=environ, data_dir=tmp_path, faq_file=tmp_path / "none.toml"))


def test_the_samples_faq_is_put_into_the_data_folder_once(tmp_path: Path) -> None:
    """The copy answers for the collection of the sample alone, and a file that is there stays as it is."""
    copy = install_faq(tmp_path, collection='sh"op 🦊')
    assert copy == tmp_path / "faq.toml"
    assert {entry.collection for entry in Faq.load(copy).entries} == {'sh"op 🦊'}
    copy.write_text(ENTRY, encoding="utf-8")
    assert install_faq(tmp_path, collection="shop") is None
    assert copy.read_text(encoding="utf-8") == ENTRY


def test_every_entry_of_the_sample_points_to_an_article() -> None:
    """The sample's FAQ is valid, and each entry says where it says so at more length."""
    articles = {f"help-centre/{path.name}" for path in articles_dir().iterdir()}
    assert {entry.uri for entry in Faq.load(faq_path()).entries} <= articles
