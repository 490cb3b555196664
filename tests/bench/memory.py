"""The high-water mark of `clipdata download` with 256 connections at once to a server that means ill: bodies without end,
bodies of 50 MB, and both among large pictures. The bar is 400 MB. Arguments pick cases by their names."""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image

import servers
from measure import measured

CLIPDATA = Path(os.environ["CLIPDATA"])
CONNECTIONS = 256
BAR_MB = 400
BODY = 49_900_000
NOTHING_SUCCEEDED = 1


def large_picture(side, **options):
    """A JPEG of noise: its file is as large as such pictures get."""
    noise = numpy.random.default_rng(side).integers(0, 255, (side // 4, side // 4, 3), dtype=numpy.uint8)
    body = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST).save(body, "JPEG", quality=90, **options)
    return body.getvalue()


def write_bodies(folder):
    small = large_picture(400)
    (folder / "padded.jpg").write_bytes(small + bytes(BODY - len(small)))
    (folder / "noise.jpg").write_bytes(b"\xff\xd8\xff" + os.urandom(BODY - 3))
    (folder / "large.jpg").write_bytes(large_picture(4800))
    (folder / "progressive.jpg").write_bytes(large_picture(4000, progressive=True))
    return small


def cases(files, endless):
    large = [f"{files}/large.jpg", f"{files}/progressive.jpg"]
    full = [f"{files}/padded.jpg", f"{files}/noise.jpg"]
    return {"256 bodies without end": [endless] * CONNECTIONS,
            "256 bodies of 50 MB": full * (CONNECTIONS // 2),
            "large pictures": large * (CONNECTIONS // 2),
            "all of them": (large + full + [endless, endless]) * (CONNECTIONS // 6)}


def peak(urls, folder, timeout):
    with tempfile.TemporaryDirectory(dir=folder) as output:
        table = Path(output) / "list.txt"
        table.write_text("".join(f"{url}?{i}\n" for i, url in enumerate(urls)))
        return measured([CLIPDATA, "download", table, "--output-folder", Path(output) / "out", "--thread-count", CONNECTIONS,
                         "--max-connections-per-host", CONNECTIONS, "--timeout", timeout, "--read-timeout", timeout,
                         "--processes-count", 2, "--allow-private-addresses", "--json"], accepted=(0, NOTHING_SUCCEEDED))


def main(names):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        small = write_bodies(folder)
        address, server = stack.enter_context(servers.files(folder))
        print(f"{CONNECTIONS} connections, files from {server}\n| case | peak MB | seconds | successes |\n|---|---|---|---|")
        for name, urls in cases(address, stack.enter_context(servers.endless(small)) + "/endless.jpg").items():
            if names and name not in names:
                continue
            usage = peak(urls, folder, 20)
            successes = usage.out.rsplit('"successes":', 1)[1].split(",")[0].strip("} \n")
            met = "" if usage.largest / 1e3 <= BAR_MB else " MISSED"
            print(f"| {name} | {usage.largest / 1e3:.0f}{met} | {usage.wall:.1f} | {successes} of {len(urls)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
