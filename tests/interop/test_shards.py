"""Shards that clipdata writes, as Python's webdataset and Pillow read them."""

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


if __name__ == "__main__":
    unittest.main()
