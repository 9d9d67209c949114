"""Documents are split disjointly, fingerprints tell corpora apart, bad text is named."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.data import corpus
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return corpus.embedded()


def of_names(*names: str) -> Corpus:
    return Corpus("some", tuple(Document(name, "text", f"text of {name}") for name in names))


def texts(some: Corpus) -> list[str]:
    return [document.text for document in some.documents]


def test_embedded_is_prose_and_code_of_five_megabytes(embedded):
    sizes = dict.fromkeys(("prose", "code"), 0)
    for document in embedded.documents:
        sizes[document.domain] += len(document.text.encode())
    assert sum(sizes.values()) == embedded.num_bytes >= 5_000_000
    assert sizes["prose"] >= 400_000
    assert sizes["code"] >= 4_000_000


def test_embedded_domains_are_what_they_say(embedded):
    for document in embedded.documents:
        assert (document.domain == "code") == document.name.endswith(".py"), document.name
        if document.domain == "code":
            compile(document.text, document.name, "exec", dont_inherit=True)


def test_embedded_holds_no_tests_and_no_document_twice(embedded):
    names = [document.name for document in embedded.documents]
    assert len(set(names)) == len(names) > 300
    for name in names:
        assert not {"test", "tests", "idle_test"} & set(Path(name).parts)
        assert not Path(name).name.startswith("test_")


def test_embedded_is_the_same_twice(embedded):
    assert corpus.embedded().fingerprint() == embedded.fingerprint()


def test_a_library_under_a_folder_named_tests_is_read_in_full(tmp_path):
    package = tmp_path / "tests" / "lib" / "json"
    (package / "tests").mkdir(parents=True)
    for path in (
        package / "decoder.py",
        package / "tests" / "test_decoder.py",
        package / "test_decoder.py",
    ):
        path.write_text("x = 1\n")
    assert [d.name for d in corpus._modules(tmp_path / "tests" / "lib")] == ["json/decoder.py"]


def test_interpreter_without_its_library_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(
        InputError, match=r"under .*expected a full Python installation.*--corpus=FILE"
    ):
        corpus.embedded()


def test_interpreter_without_its_topics_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(InputError, match="documentation topics"):
        corpus.embedded()


def test_parts_are_disjoint_and_complete(embedded):
    train, held_out = (
        {d.name for d in part.documents} for part in (embedded.train(), embedded.held_out())
    )
    assert not train & held_out
    assert train | held_out == {document.name for document in embedded.documents}
    share = len(held_out) / len(embedded.documents)
    assert 0.05 < share < 0.15
    assert {d.domain for d in embedded.held_out().documents} == {"prose", "code"}


@settings(deadline=None)
@given(
    names=st.sets(st.text("abcdef/", min_size=1), min_size=1, max_size=30), last=st.integers(0, 29)
)
def test_a_documents_part_depends_on_its_name_alone(names, last):
    everything, some = sorted(names), sorted(names)[: last + 1]
    part = {name: corpus._is_held_out(name) for name in everything}
    for take, is_held_out in ((Corpus.train, False), (Corpus.held_out, True)):
        expected = [name for name in some if part[name] == is_held_out]
        if expected:
            assert [d.name for d in take(of_names(*some)).documents] == expected


def test_the_split_never_moves():
    # Pinned: a moved document would leak from one release's training text into the next one's
    # held-out text.
    held_out = [k for k in range(100) if corpus._is_held_out(f"{k}")]
    assert held_out == [0, 7, 9, 10, 33, 40, 44, 51, 57, 59, 70, 71, 74, 90]


def test_too_few_documents_for_a_part_are_refused():
    with pytest.raises(
        InputError, match="the corpus some of 1 documents, none of which falls in its held-out part"
    ):
        of_names("1").held_out()
    with pytest.raises(
        InputError, match="the corpus some of 2 documents, none of which falls in its train part"
    ):
        of_names("0", "7").train()


def test_fingerprint_changes_with_any_change():
    base = Corpus("some", (Document("a", "prose", "xy"), Document("b", "code", "z")))
    a, b = base.documents
    changed = [
        (a._replace(text="xy "), b),
        (a._replace(name="c"), b),
        (a._replace(domain="code"), b),
        (b, a),
        (a,),
        (a, b, b),
        (Document("ap", "rose", "xy"), b),  # the same characters, parted elsewhere
        (Document("a", "prose", "x"), Document("yb", "code", "z")),
    ]
    prints = {dataclasses.replace(base, documents=documents).fingerprint() for documents in changed}
    assert len(prints | {base.fingerprint()}) == len(changed) + 1
    assert Corpus("renamed", base.documents).fingerprint() == base.fingerprint()


@settings(deadline=None)
@given(
    a=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3),
    b=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3),
)
def test_fingerprints_are_equal_for_equal_documents_alone(a, b):
    fingerprints = [
        Corpus("x", tuple(Document(*d) for d in documents)).fingerprint() for documents in (a, b)
    ]
    assert (fingerprints[0] == fingerprints[1]) == (a == b)


def test_text_file_is_cut_at_blank_lines_and_loses_nothing(tmp_path):
    path, paragraphs = tmp_path / "some.txt", [f"paragraph {k} " + "word " * 50 for k in range(400)]
    path.write_text("\n\n".join(paragraphs))
    blocks = corpus.read(path)
    assert "\n\n".join(texts(blocks)) == path.read_text()
    sizes = [len(text) for text in texts(blocks)]
    assert 8_000 < min(sizes[:-1]) < max(sizes) < 8_000 + 300
    assert blocks.documents[3].name == "some.txt#3"
    assert {d.domain for d in blocks.documents} == {"text"}


def test_jsonl(tmp_path):
    path = tmp_path / "some.jsonl"
    records = [
        {"text": "one"},
        {"text": "two\u2028three\x85four\u0085", "domain": "prose", "id": 3},
        {"text": ""},
    ]
    path.write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records) + "\n", encoding="utf-8"
    )
    lines = corpus.read(path)
    assert texts(lines) == [record["text"] for record in records]
    assert [d.domain for d in lines.documents] == ["text", "prose", "text"]
    assert [d.name for d in lines.documents] == ["some.jsonl#1", "some.jsonl#2", "some.jsonl#3"]


@settings(deadline=None, max_examples=50)
@given(
    documents=st.lists(TEXT, min_size=1, max_size=5).filter(lambda ts: any(t.strip() for t in ts))
)
def test_jsonl_holds_any_text(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("any") / "some.jsonl"
    lines = [json.dumps({"text": t}, ensure_ascii=False) for t in documents]
    path.write_bytes("\n".join(lines).encode())
    assert texts(corpus.read(path)) == documents


def test_folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "objects").write_bytes(b"\xff")
    (tmp_path / ".hidden").write_bytes(b"\xff")
    for name in ("b.py", "a.md", "deep/c.rst", "deep/er/d.txt", "e"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert [(d.name, d.domain, d.text) for d in corpus.read(tmp_path).documents] == [
        ("a.md", "prose", "a.md"),
        ("b.py", "code", "b.py"),
        ("deep/c.rst", "prose", "deep/c.rst"),
        ("deep/er/d.txt", "text", "deep/er/d.txt"),
        ("e", "text", "e"),
    ]


def test_missing_corpus(tmp_path):
    with pytest.raises(
        InputError, match=r"nothing\.txt, which does not exist; expected a file of text"
    ):
        corpus.read(tmp_path / "nothing.txt")
    with pytest.raises(InputError, match=r"nothing\.jsonl, which does not exist"):
        corpus.read(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", ""), ("a.txt", " \n\n\n"), ("a.jsonl", ""), ("a.jsonl", '{"text": ""}')],
)
def test_empty_file(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"a\..* without text; expected at least one document"):
        corpus.read(tmp_path / name)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match="without text"):
        corpus.read(tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "folder/a.txt"])
def test_text_that_is_not_utf8(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(
        InputError, match=r"a\..*, which is not UTF-8 \(unexpected end of data at byte 3\)"
    ):
        corpus.read(path if path.parent == tmp_path else path.parent)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '"text"',
        "3",
        "null",
        '{"words": "x"}',
        '{"text": 3}',
        '{"text": null}',
        r'{"text": "\ud800"}',
    ],
)
def test_bad_jsonl_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n' + line + "\n")
    with pytest.raises(
        InputError, match=r'line 2 of .*a\.jsonl: .*expected a JSON object with a "text" field'
    ):
        corpus.read(path)
