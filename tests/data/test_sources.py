"""Downloads: by https, by their SHA-256, and never more than what is published."""
import gzip
import re
import threading
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from npvae.data import freyfaces, mnist, sources
from npvae.data.bounds import decompress
from npvae.errors import DataError

pytest.importorskip("pooch")
CONTENTS = bytes(range(256)) * 100
PUBLISHED = [*mnist.SOURCES["train"], *mnist.SOURCES["test"], freyfaces.SOURCE]
SENT = []  # bytes that the server has sent


class Server(BaseHTTPRequestHandler):
    """/good has the file, /endless never ends, /elsewhere leads to another scheme."""

    def do_GET(self):
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/good")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        chunks = [gzip.compress(CONTENTS)] if self.path == "/good" else [bytes(2**16)] * 3000
        for chunk in chunks:
            try:
                self.wfile.write(chunk)
            except OSError:  # the client has had enough
                return
            SENT.append(len(chunk))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(monkeypatch, tmp_path):
    """Of a server on this machine, which speaks no https."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NPVAE_DATA", raising=False)
    monkeypatch.setattr(sources, "SCHEME", "http")
    SENT.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def source(*mirrors):
    digest = sha256(CONTENTS).hexdigest()
    return sources.Source("set", "file.gz", digest, len(CONTENTS), mirrors)


def test_every_published_file_is_by_https_sha256_and_size():
    for published in PUBLISHED:
        assert all(mirror.startswith("https://") for mirror in published.mirrors)
        assert re.fullmatch("[0-9a-f]{64}", published.sha256) and published.size > 10_000


def test_a_file_is_downloaded_once(address):
    wanted = source(f"{address}/good")
    assert sources.read(wanted, decompress) == CONTENTS
    sent = len(SENT)
    assert sources.read(wanted, decompress) == CONTENTS
    assert len(SENT) == sent == 1


@pytest.mark.parametrize("path", ["/endless", "/elsewhere"])
def test_a_mirror_that_sends_too_much_or_leads_away_is_left(address, tmp_path, path):
    """200 MB would come from the first; and what other schemes bring may be changed on the way."""
    assert sources.read(source(address + path, f"{address}/good"), decompress) == CONTENTS
    with pytest.raises(DataError, match=r"no mirror gave it: .*\(ValueError\)"):
        sources.read(replace(source(address + path), file="b.gz"), decompress)
    assert sum(SENT) < 50e6  # of 400 MB; what lies in the buffers between the two
    assert [file.name for file in (tmp_path / "npvae" / "set").iterdir()] == ["file.gz"]


def test_http_is_not_even_asked(address, monkeypatch):
    monkeypatch.setattr(sources, "SCHEME", "https")
    with pytest.raises(DataError, match=r"no mirror gave it: .*\(ValueError\)"):
        sources.read(source(f"{address}/good"), decompress)
    assert SENT == []


def test_a_file_takes_no_more_than_its_size(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(ValueError, match="longer than 10 bytes"), sources.Capped(path, 10) as file:
        file.write(b"12345")
        file.write(b"12345")
        file.write(b"6")
    assert path.read_bytes() == b"1234512345"


def test_a_bomb_of_the_right_size_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("NPVAE_DATA", str(tmp_path))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(10**7)))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(10**8)))
    with pytest.raises(DataError, match="not the published file, which holds 47,040,016 bytes"):
        mnist.load_mnist()
