"""Text as people have it: what no file can store, what no tokenizer encodes, JSON by any name,
byte-order marks, and control tokens that are only spelled."""

import gzip
import json
import os

import pytest
import tokenizers as library

from dynamics import models, suite
from dynamics.checkpoints import config_json
from dynamics.data import corpus, minimal_pairs, tags, tokenizer
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

PAIR = {"sentence_good": "Cats sleep.", "sentence_bad": "Cats sleeps.", "UID": "agreement"}
BOM = b"\xef\xbb\xbf"
TEXTS = ("first document", "x = 1")
CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = (*CONTROL, "the", "##re", "cls", "sep", "mask", "[", "]")


def jsonl(*records) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def texts(documents: Corpus) -> tuple[str, ...]:
    return tuple(document.text for document in documents.documents)


# Text that cannot be stored.


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (corpus.read, jsonl({"text": "a\ud800"})),
        (corpus.read, jsonl({"text": "a", "domain": "\udfff"})),
        (corpus.read, jsonl({"text": "a", "domain": "b\0"})),
        (corpus.read, jsonl({"text": "a", "domain": ["b"]})),
        (corpus.read, jsonl({"text": ["a"]})),
        (corpus.read, b'{"text": "a\xff"}'),
        (corpus.read, "text".encode("utf-16")),
        (minimal_pairs.read, jsonl({**PAIR, "UID": "a\0b"})),
        (minimal_pairs.read, jsonl({**PAIR, "UID": "a\udc80"})),
        (minimal_pairs.read, jsonl({**PAIR, "UID": 3})),
        (minimal_pairs.read, jsonl({**PAIR, "linguistics_term": "\0"})),
        (minimal_pairs.read, jsonl({**PAIR, "linguistics_term": None})),
        (minimal_pairs.read, jsonl({**PAIR, "sentence_good": "\ud83d"})),
        (minimal_pairs.read, jsonl({**PAIR, "sentence_good": "a\0"})),
    ],
    ids=range(14),
)
def test_text_that_cannot_be_stored_is_refused(tmp_path, read, content):
    path = tmp_path / "some.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"some\.jsonl") as refused:
        read(path)
    str(refused.value).encode()


@pytest.mark.parametrize("field", ["name", "models", "folder"])
def test_a_suite_of_text_that_cannot_be_stored_is_refused(tmp_path, field):
    grid = 'models = ["a"]\nseeds = [0]\nsteps = [0]\n'
    line = {"name": 'name = "a\\u0000"\nfolder = "{model}"', "folder": 'folder = "{model}\\u0000"'}
    text = grid + line.get(field, 'folder = "{model}"')
    if field == "models":
        text = text.replace('"a"', '"a\\u0000"', 1)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.toml"):
        suite.read(path)


@pytest.mark.parametrize("name", [b"caf\xe9.txt", b"\xff\xfe", b"a\xc3.jsonl"])
def test_a_file_name_that_is_no_text_becomes_text(tmp_path, name):
    with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
        file.write(jsonl({"text": "some text"}))
    folder, single = corpus.read(tmp_path), corpus.read(next(tmp_path.iterdir()))
    for documents in (folder, single):
        assert len(documents.fingerprint()) == 64
        documents.name.encode()
        assert "\\x" in documents.documents[0].name


# Text that cannot be encoded.


def byteless() -> library.Tokenizer:
    return library.Tokenizer(library.models.BPE({"<|endoftext|>": 0, "q": 1}, []))


ENCODERS = {
    "no unknown word": library.Tokenizer(library.models.WordLevel({"<|endoftext|>": 0}, "[UNK]")),
    "no unknown piece": library.Tokenizer(
        library.models.WordPiece({"<|endoftext|>": 0}, unk_token="[UNK]")
    ),
    "no unknown unigram": library.Tokenizer(library.models.Unigram([("<|endoftext|>", 0.0)])),
    "no bytes": byteless(),
}


@pytest.mark.parametrize("text", ["some text", "ünïcode", "a\0b"])
@pytest.mark.parametrize("name", ENCODERS)
def test_a_tokenizer_that_cannot_encode_is_refused(name, text):
    with pytest.raises(InputError, match="tokenizer"):
        tokenizer.encode(ENCODERS[name], Corpus("some", (Document("0", "text", text),)))
    with pytest.raises(InputError, match="tokenizer"):
        minimal_pairs.encode(ENCODERS[name], [text], start=False)


# Text in silence: JSON by any name is read as documents.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", jsonl(*({"text": text} for text in TEXTS))),
        ("a.ndjson", jsonl(*({"text": text} for text in TEXTS))),
        ("a.JSONL", jsonl(*({"text": text} for text in TEXTS))),
        ("a.NDJson", jsonl(*({"text": text} for text in TEXTS))),
        ("a.json", jsonl(*({"text": text} for text in TEXTS))),
        ("a.json", json.dumps([{"text": text} for text in TEXTS]).encode()),
        ("a.JSON", json.dumps([{"text": text, "id": 3} for text in TEXTS], indent=1).encode()),
        ("a.jsonl", BOM + jsonl(*({"text": text} for text in TEXTS))),
        ("a.jsonl", b"".join(BOM + jsonl({"text": text}) for text in TEXTS)),
        ("a.jsonl", jsonl(*({"text": text} for text in TEXTS)).replace(b"\n", b"\r\n")),
        ("a.jsonl.gz", gzip.compress(jsonl(*({"text": text} for text in TEXTS)))),
        ("a.json.GZ", gzip.compress(json.dumps([{"text": text} for text in TEXTS]).encode())),
    ],
    ids=range(12),
)
def test_json_in_any_form_is_documents(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert texts(corpus.read(tmp_path)) == TEXTS
    assert texts(corpus.read(tmp_path / name)) == TEXTS


def test_shards_of_json_are_read_in_order(tmp_path):
    for number in (1, 0):
        (tmp_path / f"part{number}.jsonl").write_bytes(jsonl({"text": TEXTS[number]}))
    (tmp_path / "one.json").write_bytes(jsonl({"text": "third", "domain": "prose"}))
    documents = corpus.read(tmp_path).documents
    assert texts(Corpus("some", documents)) == ("third", *TEXTS)
    assert [document.name for document in documents] == [
        "one.json#1",
        "part0.jsonl#1",
        "part1.jsonl#1",
    ]


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", "3", "{}", "// a comment\n{}", "[]"])
def test_other_json_is_text_among_files_and_no_corpus_of_its_own(tmp_path, content):
    (tmp_path / "package.json").write_text(content)
    (tmp_path / "readme.txt").write_text("words")
    assert texts(corpus.read(tmp_path)) == (content, "words")
    with pytest.raises(InputError, match=r'package\.json.* expected a JSON object with a "text"'):
        corpus.read(tmp_path / "package.json")


# Text as people have it: byte-order marks.


def word_pieces(folder):
    (folder / "vocab.txt").write_bytes(BOM + "".join(f"{piece}\n" for piece in PIECES).encode())
    (folder / "tokenizer_config.json").write_bytes(BOM + b'{"do_lower_case": true}')
    return tokenizer.load(folder).token_to_id("[PAD]")


def stored_bpe(folder):
    tokenizer.train(["aaaa aaaa"], 258).save(str(folder / "tokenizer.json"))
    content = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(BOM + content)
    return tokenizer.load(folder).get_vocab_size()


def written(folder, name: str, content: bytes):
    path = folder / name
    path.write_bytes(BOM + content)
    return path


MARKED = {
    "txt": (lambda f: texts(corpus.read(written(f, "a.txt", b"words"))), ("words",)),
    "md in a folder": (
        lambda f: texts(corpus.read(written(f, "a.md", b"words").parent)),
        ("words",),
    ),
    "txt.gz": (
        lambda f: texts(corpus.read(written_gzip(f, "a.txt.gz", BOM + b"words"))),
        ("words",),
    ),
    "jsonl": (lambda f: texts(corpus.read(written(f, "a.jsonl", jsonl({"text": "b"})))), ("b",)),
    "json": (lambda f: texts(corpus.read(written(f, "a.json", b'[{"text": "b"}]'))), ("b",)),
    "pairs": (
        lambda f: minimal_pairs.read(written(f, "a.jsonl", jsonl(PAIR))).good,
        ("Cats sleep.",),
    ),
    "pairs.gz": (
        lambda f: minimal_pairs.read(written_gzip(f, "a.jsonl.gz", BOM + jsonl(PAIR))).tasks,
        ("agreement",),
    ),
    "toml": (
        lambda f: (
            suite.read(
                written(
                    f, "a.toml", b'models = ["m"]\nseeds = [0]\nsteps = [0]\nfolder = "{model}"'
                )
            ).models
        ),
        ("m",),
    ),
    "config.json": (
        lambda f: config_json.read(
            written(f, "config.json", json.dumps(config_json.to_hub(NEOX)).encode()).parent
        ),
        models.gpt_neox.Config(),
    ),
    "tokenizer.json": (stored_bpe, 258),
    "vocab.txt": (word_pieces, 0),
}
NEOX = models.gpt_neox.Config()


def written_gzip(folder, name: str, content: bytes):
    path = folder / name
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("name", MARKED)
def test_a_byte_order_mark_is_no_text(tmp_path, name):
    read, expected = MARKED[name]
    assert read(tmp_path) == expected


# Text as people have it: control tokens that are spelled.


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    bpe = tokenizer.train(["some words to merge " * 3], 262, masks=True)
    return {"bpe": bpe, "pieces": tokenizer.load(folder)}


@pytest.mark.parametrize(
    ("name", "control"),
    [
        *(("bpe", token) for token in (tokenizer.SEPARATOR, tokenizer.MASK)),
        *(("pieces", token) for token in CONTROL if token != "[UNK]"),
    ],
)
@pytest.mark.parametrize("text", ["{}", "the {} words", "{}{}"])
def test_plain_text_that_spells_a_control_token_stays_text(encoders, name, control, text):
    encoder, text = encoders[name], text.replace("{}", control)
    control_id = encoder.token_to_id(control)
    some = Corpus("some", (Document("0", "text", text),))
    (plain,), (asked,) = (
        tokenizer.encode(encoder, some, control_tokens=asks) for asks in (False, True)
    )
    assert control_id not in plain[1:]
    assert (asked[1:] == control_id).sum() == text.count(control)
    (headed,) = minimal_pairs.encode(encoder, [text + " words"], start=name == "bpe")
    assert (headed == control_id).sum() == (control == tokenizer.SEPARATOR)
    assert not encoder.encode_special_tokens  # the tokenizer is left as it was


# A tagger that is no tagger.


@pytest.mark.parametrize(
    "name",
    [
        *("os:getcwd", "builtins:len", "builtins:print", "math:sqrt", "json:loads", "sys:exit"),
        *("builtins:exec", "operator:neg", "builtins:sum", "json:dumps", "os:fspath"),
        *("builtins:enumerate", "itertools:count", "itertools:cycle"),
    ],
)
def test_a_tagger_that_is_no_tagger_is_refused(name):
    with pytest.raises(InputError, match="tag"):
        tags.tag_text("Some words of a text", tags.tagger(name))


@pytest.mark.parametrize(
    "name", ["a:b", "os:nothing", "os:name", "os:", ":f", "os", "..:x", "a b:c"]
)
def test_a_tagger_that_cannot_be_imported_is_refused(name):
    with pytest.raises(InputError, match="tagger"):
        tags.tagger(name)
