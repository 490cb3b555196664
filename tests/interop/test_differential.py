"""img2dataset 1.47.0 and `clipdata download` over one list from one server, with the same options: what both write is the
same, row by row, but for the differences of docs/from-img2dataset.md, each of which is asserted here. Needs img2dataset
beside this Python (`make test-differential`); skipped without it."""

import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path

import pictures

try:
    import numpy
    import pyarrow.parquet
    from PIL import Image
except ImportError as error:
    raise unittest.SkipTest(str(error)) from error

CLIPDATA = Path(os.environ.get("CLIPDATA", pictures.ROOT / "target" / "debug" / "clipdata"))
IMG2DATASET = Path(sys.executable).parent / "img2dataset"
SIDE = 256
ROWS_A_SHARD = 100
OUR_COLUMNS = ["error_kind", "http_status", "bytes", "final_url", "mime", "ms", "attempts"]
UPRIGHT = 1
TURNED = 6
ORIENTATION = 0x0112

# What ends in another state, and how: name of the row: (img2dataset's status, clipdata's status, clipdata's error_kind).
OTHER_STATE = {"with space.jpg": ("failed_to_download", "success", None)}
OTHER_PIXELS = {"sixteen.png", "turned.jpg"}

# The largest mean difference of 255 and the smallest PSNR: of pictures that both decode whole, and of JPEGs that clipdata
# decodes at 1/2, 1/4 or 1/8 because they shrink to half or less.
DECODED_WHOLE = (0.5, 44)
REDUCED = (7, 25)


def encoded(image, form, **options):
    body = io.BytesIO()
    image.save(body, form, **options)
    return body.getvalue()


def gradient(width, height):
    x, y = numpy.meshgrid(numpy.linspace(0, 255, width), numpy.linspace(0, 255, height))
    return Image.fromarray(numpy.stack([x, y, 255 - (x + y) / 2], 2).astype(numpy.uint8))


def special():
    """(name, bytes): formats, and the pictures of which img2dataset makes something else."""
    picture = gradient(500, 400)
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    deep = Image.fromarray(numpy.tile(numpy.linspace(0, 65535, 400).astype(numpy.uint16), (300, 1)))
    whole = encoded(picture, "JPEG", quality=90)
    yield "plain.jpg", whole
    yield "grey.jpg", encoded(picture.convert("L"), "JPEG", quality=90)
    yield "tall.png", encoded(gradient(100, 800), "PNG")
    yield "small.png", encoded(gradient(60, 40), "PNG")
    yield "alpha.png", encoded(alpha, "PNG")
    yield "palette.gif", encoded(picture.quantize(64), "GIF")
    yield "picture.webp", encoded(picture, "WEBP", quality=90)
    yield "sixteen.png", encoded(deep, "PNG")
    yield "turned.jpg", encoded(picture, "JPEG", quality=90, exif=exif)
    yield "with,comma.jpg", whole
    yield "with space.jpg", whole
    yield "half.jpg", whole[: len(whole) // 2]
    yield "page.html", b"<!doctype html><p>no picture</p>" * 20
    yield "empty.jpg", b""


def rows():
    """(name, bytes or None, caption): photos, drawings, special ones, and addresses that fail or lead on."""
    found = [*pictures.photos(), *pictures.drawn(16)]
    found += [(name, body, f"special {name}") for name, body in special()]
    return [*found, ("missing.jpg", None, "nothing there"), ("moved.jpg", None, "leads to plain.jpg")]


class Served(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files = {}

    def do_GET(self):
        name = self.path.lstrip("/").replace("%20", " ")
        body = self.files.get(name)
        self.send_response(301 if name == "moved.jpg" else 404 if body is None else 200)
        if name == "moved.jpg":
            self.send_header("Location", "/plain.jpg")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300,
                          env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"})
    if done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}\n{done.stderr}")


class Output:
    """What a tool wrote: its tables and samples by the name of the row."""

    def __init__(self, folder):
        self.shards = sorted(path.name for path in folder.glob("*.tar"))
        self.files = sorted(path.name for path in folder.iterdir() if path.is_file())
        self.tables = [pyarrow.parquet.read_table(path) for path in sorted(folder.glob("*.parquet"))]
        self.rows = {name_of(row["url"]): row for table in self.tables for row in table.to_pylist()}
        self.stats = [json.loads(path.read_text()) for path in sorted(folder.glob("*_stats.json"))]
        self.samples = {}
        for shard in self.shards:
            with tarfile.open(folder / shard) as archive:
                for member in archive:
                    key, ending = member.name.split(".")
                    self.samples.setdefault(key, {})[ending] = archive.extractfile(member).read()

    def sample(self, name):
        return self.samples[self.rows[name]["key"]]

    def fields(self, name):
        return json.loads(self.sample(name)["json"])

    def pixels(self, name):
        return numpy.asarray(Image.open(io.BytesIO(self.sample(name)["jpg"])).convert("RGB"), dtype=numpy.float32)


def name_of(url):
    return url.split("/", 3)[3]


def orientation(body):
    try:
        return Image.open(io.BytesIO(body)).getexif().get(ORIENTATION, UPRIGHT)
    except OSError:
        return UPRIGHT


def is_reduced(row, body, mode):
    """Whether it is a JPEG (moved.jpg leads to one) whose side that counts shrinks to half or less; half of an odd side rounds up."""
    side = (min if mode == "keep_ratio" else max)(row["original_width"], row["original_height"])
    return (body is None or body.startswith(b"\xff\xd8")) and side >= 2 * SIDE - 1


@unittest.skipUnless(IMG2DATASET.exists(), "img2dataset is not installed beside this Python")
class Differential(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.served = rows()
        Served.files = {name: body for name, body, _ in cls.served}
        server = Server(("127.0.0.1", 0), Served)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.table = cls.folder / "list.tsv"
        lines = [f"id{i}\t{' '.join(caption.split())}\thttp://127.0.0.1:{server.server_port}/{name}"
                 for i, (name, _, caption) in enumerate(cls.served)]
        cls.table.write_text("uid\tcaption\turl\n" + "\n".join(lines) + "\n")

    @classmethod
    @functools.cache
    def both(cls, mode):
        options = ["--url_list", cls.table, "--input_format", "tsv", "--url_col", "url", "--caption_col", "caption",
                   "--output_format", "webdataset", "--processes_count", 1, "--thread_count", 16, "--image_size", SIDE,
                   "--resize_mode", mode, "--save_additional_columns", '["uid"]', "--compute_hash", "sha256",
                   "--number_sample_per_shard", ROWS_A_SHARD, "--enable_wandb", "False"]
        theirs, ours = cls.folder / f"theirs-{mode}", cls.folder / f"ours-{mode}"
        run([IMG2DATASET, *options, "--output_folder", theirs])
        run([CLIPDATA, "download", *options, "--output_folder", ours, "--allow-private-addresses"])
        return Output(theirs), Output(ours)

    def in_both(self, mode):
        """The names of rows that both stored."""
        theirs, ours = self.both(mode)
        return [name for name, row in theirs.rows.items() if row["status"] == ours.rows[name]["status"] == "success"]

    def each_mode(self):
        for mode in ("keep_ratio", "border"):
            yield mode, *self.both(mode)

    def test_files(self):
        for _, theirs, ours in self.each_mode():
            self.assertEqual(ours.shards, theirs.shards)
            self.assertEqual(sorted(set(ours.files) - set(theirs.files)), ["manifest.json", "sizes.json"])
            self.assertEqual(set(theirs.files) - set(ours.files), set())
            self.assertEqual([list(stats)[:8] for stats in ours.stats], [list(stats) for stats in theirs.stats])

    def test_columns(self):
        for _, theirs, ours in self.each_mode():
            for their, our in zip(theirs.tables, ours.tables, strict=True):
                self.assertEqual(our.schema.names, their.schema.names + OUR_COLUMNS)
                for field in their.schema:
                    self.assertEqual(our.schema.field(field.name).type, field.type, field.name)

    def test_rows(self):
        for _, theirs, ours in self.each_mode():
            self.assertEqual(set(ours.rows), {name for name, _, _ in self.served})
            self.assertEqual(set(ours.rows), set(theirs.rows))
            for name, their in theirs.rows.items():
                our = ours.rows[name]
                if name in OTHER_STATE:
                    self.assertEqual((their["status"], our["status"], our["error_kind"]), OTHER_STATE[name], name)
                else:
                    self.assertEqual(our["status"], their["status"], (name, their["error_message"], our["error_message"]))
                for column in ("uid", "caption", "url", "key"):
                    self.assertEqual(our[column], their[column], name)

    def test_messages_are_our_own_and_kinds_are_known(self):
        theirs, ours = self.both("keep_ratio")
        kinds = {"missing.jpg": "http_status", "half.jpg": "truncated_image", "page.html": "not_an_image", "empty.jpg": "empty"}
        failed = {name: row["error_kind"] for name, row in ours.rows.items() if row["status"] != "success"}
        self.assertEqual({name: failed.get(name) for name in kinds}, kinds)
        self.assertEqual(ours.rows["missing.jpg"]["http_status"], 404)
        self.assertIn("404", theirs.rows["missing.jpg"]["error_message"])

    def test_hashes(self):
        bodies = {**Served.files, "moved.jpg": Served.files["plain.jpg"]}
        for mode, theirs, ours in self.each_mode():
            for name in self.in_both(mode):
                self.assertEqual(ours.rows[name]["sha256"], hashlib.sha256(bodies[name]).hexdigest(), name)
                self.assertEqual(ours.rows[name]["sha256"], theirs.rows[name]["sha256"], name)

    def test_sizes(self):
        columns = ("width", "height", "original_width", "original_height")
        for mode, theirs, ours in self.each_mode():
            for name in self.in_both(mode):
                their, our = ([output.rows[name][column] for column in columns] for output in (theirs, ours))
                if orientation(Served.files[name] or b"") > 4:
                    their = [their[1], their[0], their[3], their[2]]
                self.assertEqual(our, their, name)
                self.assertEqual(ours.pixels(name).shape[:2], (our[1], our[0]), name)

    def test_samples(self):
        for mode, theirs, ours in self.each_mode():
            for name in self.in_both(mode):
                self.assertEqual(list(ours.sample(name)), list(theirs.sample(name)), name)
                self.assertEqual(ours.sample(name)["txt"], theirs.sample(name)["txt"], name)
                self.assertEqual(list(ours.fields(name)), list(theirs.fields(name)), name)
                same = {key: value for key, value in theirs.fields(name).items() if "width" not in key and "height" not in key and key != "exif"}
                self.assertEqual({key: ours.fields(name)[key] for key in same}, same, name)

    def test_order_is_that_of_the_list(self):
        _, ours = self.both("keep_ratio")
        self.assertEqual([row["url"] for table in ours.tables for row in table.to_pylist()],
                         [row["url"] for row in sorted(ours.rows.values(), key=lambda row: row["key"])])
        self.assertEqual(list(ours.samples), sorted(ours.samples))

    def test_pixels(self):
        for mode, theirs, ours in self.each_mode():
            for name in self.in_both(mode):
                if name in OTHER_PIXELS or orientation(Served.files[name] or b"") != UPRIGHT:
                    continue
                most, least = REDUCED if is_reduced(theirs.rows[name], Served.files[name], mode) else DECODED_WHOLE
                difference = numpy.abs(ours.pixels(name) - theirs.pixels(name))
                psnr = 10 * numpy.log10(255**2 / max(float((difference**2).mean()), 1e-9))
                self.assertLessEqual(float(difference.mean()), most, name)
                self.assertGreaterEqual(psnr, least, name)

    def test_turned_photos_stand_upright(self):
        theirs, ours = self.both("keep_ratio")
        self.assertEqual(theirs.pixels("turned.jpg").shape, (256, 320, 3))
        self.assertEqual(ours.pixels("turned.jpg").shape, (320, 256, 3))
        upright = numpy.rot90(theirs.pixels("turned.jpg"), k=-1)
        self.assertLessEqual(float(numpy.abs(ours.pixels("turned.jpg") - upright).mean()), 2)

    def test_sixteen_bits_become_eight(self):
        theirs, ours = self.both("keep_ratio")
        self.assertGreater(float(theirs.pixels("sixteen.png").mean()), 250)
        self.assertAlmostEqual(float(ours.pixels("sixteen.png").mean()), 127.5, delta=2)

    def test_published_command_lines_run(self):
        output = self.folder / "published"
        run([CLIPDATA, "download", "--url_list", self.table, "--input_format", "tsv", "--url_col", "url", "--caption_col", "caption",
             "--output_format", "webdataset", "--output_folder", output, "--processes_count", "2", "--thread_count", "16",
             "--image_size", "256", "--resize_only_if_bigger=True", "--resize_mode=keep_ratio", "--skip_reencode=True",
             "--save_additional_columns", '["uid"]', "--enable_wandb", "False", "--allow_private_addresses", "True"])
        found = Output(output)
        self.assertEqual(found.rows["plain.jpg"]["status"], "success")
        self.assertEqual(found.rows["small.png"]["width"], 60)


if __name__ == "__main__":
    unittest.main()
