"""Where a checkpoint is found: here, in the package, or in the cache of the hub, which needs no network."""

import os
import subprocess
import sys

import pytest
from roberta.files import places

SNAPSHOT = "0123456789abcdef0123456789abcdef01234567"
OTHER = SNAPSHOT[::-1]


def cached(cache, repository, files):
    """Lay a repository into the hub's cache, as the client does, and return the folder of its files."""
    home = cache / f"models--{repository.replace('/', '--')}"
    folder = home / "snapshots" / SNAPSHOT
    folder.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(SNAPSHOT)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_a_folder_wins_over_all_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "austen").mkdir()
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert places.locate("austen").resolve() == tmp_path / "austen"
    assert places.locate("some/model").resolve() == tmp_path / "some" / "model"


def test_what_comes_with_the_package():
    for name, folder in places.SHIPPED.items():
        assert places.locate(name) == folder
        assert (folder / "config.json").is_file()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"give an existing folder or one of \['austen'\], and .* is a file"):
        places.locate(tmp_path / "vocab.json")


def test_the_nearest_name_is_suggested(tmp_path):
    (tmp_path / "my-model").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 'austin': .* Did you mean 'austen'\?"):
        places.locate("austin")
    with pytest.raises(FileNotFoundError, match=r"Did you mean '.*my-model'\?"):
        places.locate(tmp_path / "my_model")


@pytest.mark.parametrize("given", [3, b"austen", None, ["austen"]])
def test_what_names_no_place_is_said(given):
    with pytest.raises(TypeError, match=r"required a folder, the name of a shipped checkpoint or an id.*, got \w+ .*"):
        places.locate(given)
    with pytest.raises(FileNotFoundError, match="no checkpoint ''"):  # and not the current folder
        places.locate("")


def test_the_family_s_oldest_names_are_ids(monkeypatch):
    pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    asked = []
    monkeypatch.setattr(places.hub, "fetch", lambda name, *_: asked.append(name) or places.SHIPPED["austen"])
    for name in ("roberta-base", "camembert-base", "xlm-roberta-base", "xlm-roberta-large"):
        places.locate(name)
    assert len(asked) == 4


def test_a_subfolder_is_a_folder_inside(tmp_path):
    (tmp_path / "half").mkdir()
    assert places.locate(tmp_path, subfolder="half") == tmp_path / "half"
    with pytest.raises(FileNotFoundError, match=r"subfolder: .* has no folder 'quarter'; the folders in it are: half"):
        places.locate(tmp_path, subfolder="quarter")


def test_the_cache_of_the_hub_is_enough(tmp_path):
    pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    folder = cached(tmp_path, "some-owner/some-model", {"tokenizer.json": "{}"})
    code = "from roberta.files.places import locate; print(locate('some-owner/some-model'))"
    # In a process of its own: the client reads these two when it is imported.
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == str(folder)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code.replace("some-model", "other")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FileNotFoundError: 'some-owner/other' is neither a folder here nor could it be fetched" in done.stderr


def test_the_hub_is_asked_for_what_the_caller_says(tmp_path):
    pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    main = cached(tmp_path, "some-owner/some-model", {"config.json": "{}"})
    other = main.parent / OTHER
    (other / "half").mkdir(parents=True)
    (main.parent.parent / "refs" / "v2").write_text(OTHER)
    here = {"cache_dir": tmp_path, "local_files_only": True}
    assert places.locate("some-owner/some-model", **here) == main
    assert places.locate("some-owner/some-model", revision="v2", subfolder="half", **here) == other / "half"
    assert places.locate("some-owner/some-model", revision=OTHER, **here) == other
    with pytest.raises(FileNotFoundError, match="neither a folder here nor could it be fetched"):
        places.locate("some-owner/some-model", revision="v3", **here)
