"""Shards that clipdata writes to S3, as moto keeps it and boto3 reads it."""

import http.server
import io
import json
import logging
import os
import random
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer
from PIL import Image

import pictures
from test_shards import CLIPDATA, Served, clipdata_lines, written_by_python

OUT = "s3://bucket/some/where"

# It tells every request otherwise.
logging.getLogger("werkzeug").setLevel(logging.ERROR)


class S3(unittest.TestCase):
    def setUp(self):
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        self.addCleanup(moto.stop)
        endpoint = "http://{}:{}".format(*moto.get_host_and_port())
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        self.environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": endpoint}
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key",
                               aws_secret_access_key="secret")
        self.s3.create_bucket(Bucket="bucket")
        self.addCleanup(self.s3.delete_bucket, Bucket="bucket")
        self.addCleanup(self.empty)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.table = self.serve(list(pictures.drawn(count=20)))

    def empty(self):
        for name in self.objects(""):
            self.s3.delete_object(Bucket="bucket", Key=name)

    def serve(self, rows):
        Served.files = {name: body for name, body, _ in rows}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        table = self.folder / "list.tsv"
        lines = [f"{' '.join(caption.split())}\thttp://127.0.0.1:{server.server_port}/{name}\n" for name, _, caption in rows]
        table.write_text("caption\turl\n" + "".join(lines))
        return table

    def clipdata(self, *arguments):
        done = subprocess.run([CLIPDATA, *map(str, arguments), "--json"], capture_output=True, text=True, timeout=300,
                              env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])["data"]

    def download(self, output, *more):
        return self.clipdata("download", self.table, "--output-folder", output, "--caption-col", "caption",
                             "--allow-private-addresses", "--deterministic", "--number-sample-per-shard", "8", *more)

    def objects(self, prefix="some/where/"):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        read = lambda key: self.s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        return {key[len(prefix):]: read(key) for key in keys}

    def local(self, *more):
        self.download(self.folder / "local", *more)
        return {path.name: path.read_bytes() for path in (self.folder / "local").iterdir()}

    def test_shards_are_those_of_a_local_folder(self):
        self.assertEqual(self.download(OUT)["successes"], 20)
        self.assertEqual(self.objects(), self.local())
        self.assertEqual(self.download(OUT)["shards_already_done"], 3)
        self.assertEqual(self.clipdata("merge-stats", OUT)["successes"], 20)

    def test_a_large_shard_is_sent_in_parts(self):
        rng = random.Random(0)
        for name in Served.files:
            body = io.BytesIO()
            Image.frombytes("RGB", (700, 700), rng.randbytes(3 * 700 * 700)).save(body, "PNG")
            Served.files[name] = body.getvalue()
        large = ["--encode-format", "png", "--resize-mode", "no"]
        self.download(OUT, *large)
        self.assertGreater(max(map(len, self.objects().values())), 8 << 20)
        self.assertEqual(self.objects(), self.local(*large))
        self.assertNotIn("Uploads", self.s3.list_multipart_uploads(Bucket="bucket"))

    def test_a_claimed_shard_is_left_alone(self):
        self.s3.put_object(Bucket="bucket", Key="some/where/00001.claim", Body=b"another run")
        self.assertEqual(self.download(OUT)["shards_elsewhere"], 1)
        self.assertNotIn("00001.tar", self.objects())
        self.assertEqual(self.objects()["00001.claim"], b"another run")

    def test_shards_of_python_are_read_signed_and_anonymous(self):
        path = self.folder / "00000.tar"
        written = written_by_python(path)
        self.s3.put_object(Bucket="bucket", Key="some/where/00000.tar", Body=path.read_bytes(), ACL="public-read")
        anonymous = {name: value for name, value in self.environment.items() if not name.startswith("AWS_ACCESS_KEY")
                     and not name.startswith("AWS_SECRET")}
        anonymous["AWS_NO_SIGN_REQUEST"] = "1"
        local = clipdata_lines("ls", path, "--json").splitlines()[:len(written)]
        for environment in (self.environment, anonymous):
            lines = clipdata_lines("ls", f"{OUT}/00000.tar", "--json", env=environment).splitlines()
            samples = [json.loads(line)["data"] for line in lines[:len(written)]]
            expected = [{**json.loads(line)["data"], "shard": f"{OUT}/00000.tar"} for line in local]
            self.assertEqual(samples, expected)
            self.assertEqual(json.loads(lines[-1])["data"]["samples"], len(written))

    def test_failed_rows_are_merged(self):
        whole = dict(Served.files)
        name = next(iter(whole))
        del Served.files[name]
        self.assertEqual(self.download(OUT)["successes"], 19)
        Served.files[name] = whole[name]
        self.assertEqual(self.clipdata("retry", OUT, "--allow-private-addresses")["shards"], 1)
        self.assertEqual(self.objects(), self.local())


if __name__ == "__main__":
    unittest.main()
