"""Shards that clipdata writes, as Python's webdataset and Pillow read them, and shards that webdataset writes, as clipdata reads
them."""

import csv
import http.server
import io
import json
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import webdataset
from PIL import Image

import pictures

CLIPDATA = pictures.ROOT / "target" / "debug" / "clipdata"
SIDE = 256


class Served(http.server.BaseHTTPRequestHandler):
    files = {}

    def do_GET(self):
        body = self.files.get(self.path.lstrip("/"))
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


def expected_size(width, height):
    """keep_ratio: the shorter side becomes SIDE."""
    scale = SIDE / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


class Shards(unittest.TestCase):
    def download(self, rows, folder):
        Served.files = {name: body for name, body, _ in rows}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        table = folder / "list.tsv"
        with open(table, "w", newline="") as out:
            out.write("caption\turl\n")
            for name, _, caption in rows:
                out.write(f"{' '.join(caption.split())}\thttp://127.0.0.1:{server.server_port}/{name}\n")
        command = [CLIPDATA, "download", table, "--output-folder", folder / "shards", "--caption-col", "caption",
                   "--image-size", str(SIDE), "--resize-mode", "keep_ratio", "--number-sample-per-shard", "100",
                   "--allow-private-addresses", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(summary["type"], "summary")
        return summary["data"]

    def check(self, rows):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            summary = self.download(rows, folder)
            self.assertEqual(summary["count"], len(rows))
            self.assertEqual(summary["successes"], len(rows), summary)
            shards = sorted(str(path) for path in (folder / "shards").glob("*.tar"))
            self.assertEqual(len(shards), -(-len(rows) // 100))
            samples = list(webdataset.WebDataset(shards, shardshuffle=False))
            self.assertEqual(len(samples), len(rows))
            by_url = {row[0]: row for row in rows}
            for sample in samples:
                fields = json.loads(sample["json"])
                _, body, caption = by_url[fields["url"].rsplit("/", 1)[1]]
                self.assertEqual(sample["txt"].decode(), " ".join(caption.split()))
                self.assertEqual(fields["key"], sample["__key__"])
                original = Image.open(io.BytesIO(body))
                size = original.size
                if original.getexif().get(0x0112, 1) >= 5:
                    size = size[::-1]
                written = Image.open(io.BytesIO(sample["jpg"]))
                written.load()
                self.assertEqual(written.format, "JPEG")
                self.assertEqual(written.size, expected_size(*size), fields["url"])
                self.assertEqual((fields["original_width"], fields["original_height"]), size)
            sizes = json.loads((folder / "shards" / "sizes.json").read_text())
            self.assertEqual(sum(sizes.values()), len(rows))

    def test_drawn_pictures(self):
        self.check(list(pictures.drawn()))

    def test_photos(self):
        photos = list(pictures.photos())
        if not photos:
            self.skipTest("the photos of ../shared/data are not here")
        self.check(photos)


# Captions of many kinds; keys with folders, dots behind the extension's, and another script's letters.
CAPTIONS = ["a cat", "two  spaces and a \ttab", "mot d\u00e9j\u00e0 vu", "\u72ac\U0001f415", "", "x" * 5000]
KEYS = ["{:06}", "folder/{:06}", "a/b.c/{:06}", "\u00e9t\u00e9-{:06}"]


def written_by_python(path, count=24, **options):
    """The samples of a shard that webdataset wrote."""
    samples = []
    for i, (_, body, _) in zip(range(count), pictures.drawn(count=count)):
        extension = Image.open(io.BytesIO(body)).format.lower().replace("jpeg", ("jpg", "jpeg")[i % 2])
        fields = {"number": i, "nested": {"list": [1, None]}}
        samples.append({"__key__": KEYS[i % len(KEYS)].format(i), extension: body,
                        "txt": CAPTIONS[i % len(CAPTIONS)], "json": fields, "seg.cls": i})
    with webdataset.TarWriter(str(path), **options) as writer:
        for sample in samples:
            writer.write(sample)
    return samples


def clipdata_lines(*arguments, env=None):
    done = subprocess.run([CLIPDATA, *map(str, arguments)], capture_output=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class WrittenByPython(unittest.TestCase):
    def check(self, path):
        """Keys, extensions, sizes, captions and bytes are those that webdataset reads."""
        lines = [json.loads(line) for line in clipdata_lines("ls", path, "--json").splitlines()]
        ours = [line["data"] for line in lines if line["type"] == "sample"]
        theirs = list(webdataset.WebDataset(str(path), shardshuffle=False))
        self.assertEqual([sample["key"] for sample in ours], [sample["__key__"] for sample in theirs])
        self.assertEqual(lines[-1]["data"]["shards_complete"], 1)
        for mine, peer in zip(ours, theirs):
            fields = {name: body for name, body in peer.items() if not name.startswith("__")}
            self.assertEqual(dict(zip(mine["extensions"], mine["sizes"])), {name: len(body) for name, body in fields.items()})
            self.assertEqual(mine["caption"], peer["txt"].decode())
        for peer in theirs[::5]:
            for extension in set(peer) & {"jpg", "jpeg", "png", "webp", "json", "seg.cls"}:
                self.assertEqual(clipdata_lines("cat", path, f"{peer['__key__']}.{extension}"), peer[extension])

    def test_tars_of_every_make(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, options in {"plain.tar": {}, "owned.tar": {"user": "someone", "group": "some"}, "packed.tar.gz": {"compress": True},
                                  "timed.tar": {"mtime": 0}}.items():
                path = Path(folder) / name
                written = written_by_python(path, **options)
                with self.subTest(name):
                    self.check(path)
                    self.assertEqual(len(list(webdataset.WebDataset(str(path), shardshuffle=False))), len(written))

    def test_every_sample_is_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            for shard in range(3):
                written_by_python(Path(folder) / f"{shard:03}.tar")
            spec = Path(folder) / "{000..002}.tar"
            found = json.loads(clipdata_lines("bench", spec, "--workers", 2, "--seconds", 1, "--json").splitlines()[-1])["data"]
            self.assertGreater(found["samples"], 0)
            # One caption in six is blank.
            self.assertRegex(found["losses"], r"^\d+ samples without a caption$")


if __name__ == "__main__":
    unittest.main()
