"""`ulzoo weights`: fetched when asked, checked, and never half there. Addresses are of this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading

import pytest

from ulzoo.cli import main
from ulzoo.weights import known

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/none":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if self.path == "/cut" else CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(monkeypatch):
    """A server on this machine, and `inception` published there with a hash."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Server.asked = []
    place = f"http://127.0.0.1:{server.server_port}"
    changed = dataclasses.replace(known.KNOWN["inception"], url=f"{place}/w", sha256=SHA256[:8])
    monkeypatch.setitem(known.KNOWN, "inception", changed)
    yield place
    server.shutdown()
    server.server_close()


def test_a_file_is_fetched_checked_and_told(address, tmp_path, capsys):
    assert main(["weights", "get", "inception", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    path = tmp_path / known.KNOWN["inception"].file
    assert path.read_bytes() == CONTENT
    for words in (f"{address}/w", "licence: Apache-2.0", str(path), SHA256, "as published"):
        assert words in out
    # It is there: nobody is asked again.
    assert main(["weights", "get", "inception", "--out", str(tmp_path)]) == 0
    assert "(there already)" in capsys.readouterr().out
    assert Server.asked == ["/w"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("none", "404"),
        ("cut", "IncompleteRead|ended after 100 of 7000 bytes"),
        ("other", "not the file that was"),
    ],
)
def test_nothing_is_kept_of_a_file_that_is_not_whole_or_another(
    page, words, address, tmp_path, capsys, monkeypatch
):
    if page == "other":
        changed = dataclasses.replace(known.KNOWN["inception"], sha256="00000000")
        monkeypatch.setitem(known.KNOWN, "inception", changed)
    arguments = ["weights", "get", "inception", "--out", str(tmp_path), "--url", f"{address}/{page}"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert any(word in error for word in words.split("|"))
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_its_name_is_not_touched(address, tmp_path, capsys):
    path = tmp_path / known.KNOWN["inception"].file
    path.write_bytes(b"mine")
    assert main(["weights", "get", "inception", "--out", str(tmp_path)]) == 2
    assert "move it away" in capsys.readouterr().err
    assert path.read_bytes() == b"mine"
    assert Server.asked == []


def test_from_a_file_and_without_a_published_hash(tmp_path, capsys):
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    out = tmp_path / "out"
    arguments = ["weights", "get", "clip-vit-base-patch16", "--out", str(out), "--url", source.as_uri()]
    assert main(arguments) == 0
    assert f"{SHA256}, no published one to compare it with" in capsys.readouterr().out
    assert (out / "clip-vit-base-patch16.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "inceptoin"], "did you mean 'inception'"),
        (["get"], "give a NAME"),
        (["list", "inception"], "takes no name"),
        (["get", "inception", "--url", "ftp://127.0.0.1/x"], "not an address of https"),
        (["get", "inception", "--url", "file:///no/such/file"], "No such file"),
    ],
)
def test_mistakes(arguments, words, tmp_path, capsys):
    given = [*arguments, "--out", str(tmp_path)] if "get" in arguments else arguments
    assert main(["weights", *given]) == 2
    assert words in capsys.readouterr().err


def test_the_list_says_licence_and_hash_and_asks_nobody(capsys, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("the network was asked"))
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    for file in known.KNOWN.values():
        assert file.name in out
        assert file.url in out
        assert file.licence
    assert out.count("licence:") == len(known.KNOWN)


def test_hashes_in_names_are_those_of_the_table():
    """torch.hub's rule: the digits at a name's end begin the file's SHA-256."""
    for file in known.KNOWN.values():
        digits = file.url.rpartition("-")[2].partition(".")[0]
        if len(digits) == 8 and all(letter in "0123456789abcdef" for letter in digits):
            assert file.sha256.startswith(digits)


def test_hashes_are_whole_and_addresses_stay():
    """A few digits are no defence: another file whose hash begins with the same eight is found in minutes."""
    without = [file.name for file in known.KNOWN.values() if not file.sha256]
    assert without == ["clip-vit-base-patch16"]
    hashes = [file.sha256 for file in known.KNOWN.values() if file.sha256]
    assert len(set(hashes)) == len(hashes)
    for digits in hashes:
        assert len(bytes.fromhex(digits)) == 32
        assert known.known_name(digits) is not None
    assert not [file.url for file in known.KNOWN.values() if "/resolve/main/" in file.url]
