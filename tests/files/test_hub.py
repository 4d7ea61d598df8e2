"""Fetching from a hub on the loopback that speaks its HTTP: what is asked for, what is not, and what fails how."""

import json
import os
import subprocess
import sys

import pytest
from roberta.files import hub as fetching
from roberta.files import places, refusals
from roberta.files.formats.table import FORMATS

NAME = "some-owner/some-model"
SECRET = "hf_theTokenThatNobodyMaySee"  # noqa: S105  # of nobody
# No two alike: the client keeps them by what is in them, and would fetch one.
SMALL = {"config.json": b"{}", "vocab.json": b"{ }", "merges.txt": b"#", "tokenizer_config.json": b"{  }"}
#: What lies in repositories besides, and is of no use here.
USELESS = dict.fromkeys(
    (
        "training_args.bin", "optimizer.pt", "scheduler.pt", "README.md", ".gitattributes", "onnx/model.onnx",
        "onnx/config.json", "rust_model.ot", "code.py", "trainer_state.json", "all_results.json", "rng_state.pth",
    ),
    b"unwanted",
)  # fmt: skip
WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))


@pytest.fixture
def put(hub):
    """Lay a repository into the hub."""

    def lay(files, name=NAME, **others):
        hub.repositories[name] = hub.Repository(files=files, **others)
        return hub.repositories[name]

    return lay


def index_of(*shards):
    return json.dumps({"weight_map": {f"weight.{number}": shard for number, shard in enumerate(shards)}}).encode()


def test_the_formats_are_those_of_the_table_in_its_order():
    assert tuple(one.weights for one in FORMATS.values()) == fetching.WEIGHTS
    assert all(one.index == one.weights + fetching.INDEX for one in FORMATS.values())


@pytest.mark.parametrize("first", range(4))
def test_weights_are_fetched_in_one_format(hub, put, first):
    """Of each set of formats the first; and nothing that is not needed."""
    there = fetching.WEIGHTS[first:]
    put({**SMALL, **USELESS, **{name: name.encode() + WEIGHTS for name in there}})
    folder = places.locate(NAME)
    assert {path.name for path in folder.iterdir()} == {*SMALL, there[0]} == hub.fetched()
    assert (folder / there[0]).read_bytes() == there[0].encode() + WEIGHTS


@pytest.mark.parametrize("whole", fetching.WEIGHTS[:4])
def test_shards_are_fetched_that_the_index_names(hub, put, whole):
    stem, ending = whole.rsplit(".", 1)
    shards = {f"{stem}-0000{n}-of-00003.{ending}": bytes([n]) * 99 for n in (1, 2, 3)}
    used = [*shards][:2]
    put({**SMALL, **USELESS, **shards, whole + fetching.INDEX: index_of(*used, used[0])})
    folder = places.locate(NAME)
    assert hub.fetched() == {*SMALL, *used, whole + fetching.INDEX}
    assert all((folder / name).read_bytes() == shards[name] for name in used)


def test_a_tokenizer_fetches_no_weights_nor_other_files(hub, put):
    put({**SMALL, **USELESS, "model.safetensors": WEIGHTS})
    places.locate(NAME, ("*.json", "merges.txt"))
    assert hub.fetched() == set(SMALL)


def test_only_the_subfolder_is_fetched(hub, put):
    inside = {f"half/[1]/{name}": content for name, content in {**SMALL, "model.safetensors": WEIGHTS}.items()}
    put({**SMALL, "model.safetensors": b"another", "half/1/config.json": b"another", **inside})
    folder = places.locate(NAME, subfolder="half/[1]")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not any("half" not in one for one in hub.asked if "/resolve/" in one)
    with pytest.raises(FileNotFoundError, match=r"no folder 'quarter'; the folders in it are: 'half/1', 'half/\[1\]'"):
        places.locate(NAME, subfolder="quarter")


def test_a_second_load_fetches_nothing_again(hub, put):
    repository = put({**SMALL, "model.safetensors": WEIGHTS})
    first = places.locate(NAME)
    hub.asked.clear()
    assert places.locate(NAME) == first
    assert not hub.fetched()
    repository.commits["main"] = other = "f" * 40  # the same weights in a later commit: their ETag says so
    repository.files["config.json"] = b'{"later": 1}'
    second = places.locate(NAME)
    assert second.name == other
    assert hub.fetched() == {"config.json"}
    assert (second / "model.safetensors").read_bytes() == WEIGHTS
    hub.asked.clear()
    places.locate(NAME, force_download=True)
    assert "model.safetensors" in hub.fetched()


def test_a_revision_is_what_is_asked_for(put):
    repository = put({**SMALL, "model.safetensors": WEIGHTS})
    repository.commits["v2"] = "e" * 40
    assert places.locate(NAME, revision="v2").name == "e" * 40
    assert places.locate(NAME, revision="e" * 40).name == "e" * 40


def test_the_cache_is_enough_where_nobody_may_be_asked(hub, put, monkeypatch):
    put({**SMALL, "model.safetensors": WEIGHTS})
    with pytest.raises(FileNotFoundError, match=r"neither a folder here nor .*local_files_only.*Load it once with"):
        places.locate(NAME, local_files_only=True)
    folder = places.locate(NAME)
    hub.asked.clear()
    assert places.locate(NAME, local_files_only=True) == folder
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert places.locate(NAME) == folder
    with pytest.raises(FileNotFoundError, match="lacks revision 'v2'"):
        places.locate(NAME, revision="v2")
    assert not hub.asked


def test_a_whole_copy_is_taken_where_nobody_answers(hub, put, tmp_path):
    put({**SMALL, "model.safetensors": WEIGHTS})
    folder = places.locate(NAME)
    hub.failures["/api/"] = [(503, {})] * 3
    with pytest.warns(UserWarning, match=r"the hub is ill \(HTTP 503\).*Taken instead: the copy in the cache, commit"):
        assert places.locate(NAME) == folder
    hub.failures["/api/"] = [(503, {})] * 6
    with pytest.raises(ConnectionError, match="HTTP 503"):
        places.locate(NAME, force_download=True)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConnectionError, match="HTTP 503"):
        places.locate(NAME)


@pytest.mark.parametrize(
    ("arrange", "kind", "says"),
    [
        ({}, FileNotFoundError, r"no such repository, or a private one \(HTTP 401.*token="),
        ({"token": "another"}, PermissionError, r"the token is not accepted \(HTTP 401"),
        ({"is_gated": True}, PermissionError, r"it is gated \(HTTP 403.*Ask for access at http.*some-model"),
    ],
)
@pytest.mark.parametrize("token", [SECRET, False])
def test_what_may_not_be_seen(put, arrange, kind, says, token):
    if arrange:
        put({**SMALL, "model.safetensors": WEIGHTS}, **arrange)
    if not arrange and token:
        says = says.replace("401", "404")
    if "another" in arrange.values() and not token:
        kind, says = FileNotFoundError, "or a private one"
    with pytest.raises(kind, match=says) as raised:
        places.locate(NAME, token=token)
    chain = [raised.value, raised.value.__cause__]
    assert not any(SECRET in f"{one} {one!r}" for one in chain)


def test_a_token_opens_what_is_private(hub, put):
    put({**SMALL, "model.safetensors": WEIGHTS}, token=SECRET)
    assert (places.locate(NAME, token=SECRET) / "model.safetensors").read_bytes() == WEIGHTS
    assert set(hub.tokens) == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("failures", "kind", "says"),
    [
        ([(403, {})], PermissionError, "it is forbidden to whom the token belongs"),
        ([(404, {"X-Error-Code": "EntryNotFound"})], FileNotFoundError, "no such file"),
        ([(429, {"Retry-After": "3600"})], ConnectionError, r"too many questions \(HTTP 429\). Ask again in 3600 sec"),
        ([(500, {})] * 3, ConnectionError, "the hub is ill"),
        ([(503, {"X-Error-Message": "moved\x1b[2Jout"})] * 3, ConnectionError, "HTTP 503 moved"),
    ],
)
def test_each_refusal_is_said(hub, put, failures, kind, says):
    put({**SMALL, "model.safetensors": WEIGHTS})
    hub.failures["/api/models"] = failures
    with pytest.raises(kind, match=says) as raised:
        places.locate(NAME, revision="main")
    assert "'some-owner/some-model' is neither a folder here nor" in str(raised.value)
    assert "at revision 'main'" in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("where", ["/api/models", "HEAD ", "GET /some-owner", "/cdn/"])
@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_is_asked_again(hub, put, where, status, monkeypatch):
    put({"config.json": b"{}", "model.safetensors": WEIGHTS})
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.failures[where] = [(status, {"Retry-After": "0"})] * 2
    assert (places.locate(NAME) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.failures[where] == []


def test_what_is_not_there_is_said(put):
    put({**SMALL, **USELESS})
    with pytest.raises(FileNotFoundError, match=r"looked for model.safetensors .*; found .*training_args.bin"):
        places.locate(NAME)
    with pytest.raises(FileNotFoundError, match=r"no such revision \(HTTP 404.*Its branches, tags and commits: http"):
        places.locate(NAME, revision="v9")
    shard = "model-00001-of-00002.safetensors"
    put({**SMALL, "model.safetensors.index.json": index_of(shard)}, name="a/b")
    with pytest.raises(FileNotFoundError, match=f"looked for {shard}"):
        places.locate("a/b")


def test_nobody_answers(put, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    put({})
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"no answer \(ConnectionError.*See to the network"):
        places.locate(NAME, token=SECRET)


def test_a_broken_download_goes_on_where_it_ended(hub, put, monkeypatch):
    put({"config.json": b"{}", "model.safetensors": WEIGHTS})
    monkeypatch.setattr("time.sleep", lambda _: None)
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 65_536)
    hub.breaks["/cdn/"] = 300_000
    folder = places.locate(NAME)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges
    assert sum(hub.bytes_sent.values()) < len(WEIGHTS) + 300_000
    # Broken off until nobody tries any more: nothing half is in the folder, and the next load goes on.
    put({"config.json": b"{}", "model.safetensors": WEIGHTS[::-1]}, name="a/b")
    hub.failures["/cdn/a/b"] = [(400, {})]
    with pytest.raises(OSError, match="HTTP 400"):
        places.locate("a/b")
    assert (places.locate("a/b") / "model.safetensors").read_bytes() == WEIGHTS[::-1]


@pytest.mark.parametrize(
    "odd", ["../../evil.json", "/etc/evil.json", "..\\evil.json", "a/../../evil", "con\x1bfig.json", "vocab.json/../x"]
)
def test_odd_names_in_the_list_lead_nowhere(hub, put, tmp_path, odd):
    files = {**SMALL, "model.safetensors": WEIGHTS}
    put({**files, odd: b"evil"}, listed=[odd, *files, f"../{NAME}/vocab.json"])
    before = {path for path in tmp_path.parent.iterdir() if path != tmp_path}
    folder = places.locate(NAME)
    assert {path.name for path in folder.iterdir()} == set(files)
    assert hub.fetched() == set(files)
    assert {path for path in tmp_path.parent.iterdir() if path != tmp_path} == before
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


@pytest.mark.parametrize("odd", ["../vocab.json", "/etc/passwd", "a/b.safetensors", "..", "a\\b", "a\x1bb", ""])
def test_an_index_leads_nowhere(put, odd):
    put({**SMALL, "model.safetensors.index.json": index_of(odd)})
    with pytest.raises(ValueError, match=r"is no file of its folder; do not trust this checkpoint"):
        places.locate(NAME)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"weight_map": {}}', b'{"weight_map": 1}', b'{"weight_map":{"a":1}}']
)
def test_an_index_that_is_none(put, content):
    put({**SMALL, "model.safetensors.index.json": content})
    with pytest.raises(ValueError, match=r"index\.json"):
        places.locate(NAME)


def test_a_commit_that_leads_out_is_refused(put, tmp_path):
    put({**SMALL, "model.safetensors": WEIGHTS}, commits={"main": "../../../outside"})
    with pytest.raises(ValueError, match="required a commit of 40 hexadecimal digits"):
        places.locate(NAME)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("option", ["subfolder", "revision"])
@pytest.mark.parametrize("odd", ["../x", "/x", "a/../../b", "a\\b"])
def test_what_the_caller_says_leads_nowhere_either(hub, put, option, odd):
    put({**SMALL, "model.safetensors": WEIGHTS})
    with pytest.raises(ValueError, match=f"{option}: required a name inside the repository"):
        places.locate(NAME, **{option: odd})
    assert not hub.asked


def test_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "roberta\[hub\]"'):
        _ = refusals.Asked(NAME).library


def test_a_model_is_loaded_by_its_id(hub, put, tmp_path):
    """In a process of its own, which is told of the hub as everybody is: by the environment."""
    austen = places.locate("austen")
    put({**USELESS, **{path.name: path.read_bytes() for path in austen.iterdir() if path.is_file()}})
    code = (
        f"import roberta; name = {NAME!r}; m = roberta.RobertaModel.from_pretrained(name, add_pooling_layer=False);"
        "t = roberta.RobertaTokenizer.from_pretrained(name); print(m.num_parameters(), t('It is')['input_ids'])"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "c"), "NO_PROXY": "127.0.0.1"}
    said = []
    for offline in ("0", "1"):
        environment["HF_HUB_OFFLINE"] = offline
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
        said.append(done.stdout)
        assert not hub.fetched() & {name.rpartition("/")[2] for name in USELESS} - {"config.json"}
    assert said[0] == said[1] != ""
