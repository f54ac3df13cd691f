import functools
import hashlib
import http.server
import threading

import pytest

from deepgen.data import download, fetch
from deepgen.data.downloads import REMOTES, Remote, checksum
from deepgen.errors import DataError, UnknownName

CONTENT = {"a.gz": b"first" * 50_000, "b.gz": b"second"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Files served on this machine, and the requests that came for them."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", folder
        running.shutdown()
        thread.join()


@pytest.fixture
def named(monkeypatch, server):
    files = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setitem(REMOTES, "mnist", Remote((server[0] + "/",), files))


def test_files_are_fetched_once_into_a_folder_of_the_set_s_name(tmp_path, server, named):
    root = tmp_path / "data"
    paths = fetch("mnist", root, progress=False)
    assert [p.relative_to(root).as_posix() for p in paths] == ["mnist/a.gz", "mnist/b.gz"]
    assert [p.read_bytes() for p in paths] == [*CONTENT.values()]
    (server[1] / "a.gz").unlink()  # what is there is not asked for again
    assert fetch("mnist", root, progress=False) == paths
    assert sorted(p.name for p in (root / "mnist").iterdir()) == ["a.gz", "b.gz"]


def test_a_damaged_file_is_fetched_again(tmp_path, named):
    (path, _) = fetch("mnist", tmp_path / "data", progress=False)
    path.write_bytes(b"damaged")
    fetch("mnist", tmp_path / "data", progress=False)
    assert path.read_bytes() == CONTENT["a.gz"]


def test_wrong_content_is_refused_and_leaves_nothing(tmp_path, server, named):
    (server[1] / "b.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"b\.gz.*wrong content: SHA-256"):
        fetch("mnist", tmp_path / "data", progress=False)
    assert [p.name for p in (tmp_path / "data" / "mnist").iterdir()] == ["a.gz"]


def test_wrong_content_does_not_replace_what_is_there(tmp_path, server):
    path = tmp_path / "a.gz"
    path.write_bytes(b"older")
    with pytest.raises(DataError):
        download([f"{server[0]}/a.gz"], path, "0" * 64, progress=False)
    assert path.read_bytes() == b"older"


def test_the_next_address_is_tried(tmp_path, server):
    sha256 = hashlib.sha256(CONTENT["b.gz"]).hexdigest()
    urls = ["http://127.0.0.1:9/b.gz", f"{server[0]}/none", f"{server[0]}/b.gz"]
    assert download(urls, tmp_path / "b.gz", sha256, progress=False).read_bytes() == CONTENT["b.gz"]


def test_no_network_and_no_such_file_are_told(tmp_path, server):
    with pytest.raises(DataError, match=r"could not fetch a\.gz: http://127.*refused.*by hand"):
        download(["http://127.0.0.1:9/a.gz"], tmp_path / "a.gz", "0" * 64, progress=False, timeout=5)
    with pytest.raises(DataError, match="HTTP Error 404"):
        download([f"{server[0]}/none"], tmp_path / "a.gz", "0" * 64, progress=False)
    with pytest.raises(DataError, match="not an http address"):
        download(["file:///etc/hostname"], tmp_path / "a.gz", "0" * 64, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["served"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path, server):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        download([f"{server[0]}/a.gz"], tmp_path / "file" / "a.gz", "0" * 64, progress=False)


def test_a_mirror_of_ones_own(tmp_path, server, monkeypatch):
    files = {"b.gz": hashlib.sha256(CONTENT["b.gz"]).hexdigest()}
    monkeypatch.setitem(REMOTES, "mnist", Remote(("http://127.0.0.1:9/",), files))
    (path,) = fetch("mnist", tmp_path / "data", mirror=server[0], progress=True)
    assert checksum(path) == files["b.gz"]


def test_what_cannot_be_fetched_is_told(tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        fetch("minst", tmp_path)
    monkeypatch.delenv("DEEPGEN_DATA", raising=False)
    with pytest.raises(DataError, match="root="):
        fetch("mnist")


def test_public_checksums_are_checksums():
    for remote in REMOTES.values():
        assert all(address.startswith("http") for address in remote.mirrors)
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in remote.files.values())
