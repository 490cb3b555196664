"""`clipdata download` beside img2dataset 1.47.0, in turn, from one server on the loopback address. What a picture costs is
the difference between a long and a short list, so that no start-up is in it. Prints tables; the figures are kept in
target/bench/download.json. Arguments pick measurements by their names."""

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import corpus
import servers
from measure import measured

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "target" / "bench"
CLIPDATA = Path(os.environ["CLIPDATA"])
IMG2DATASET = Path(sys.executable).parent / "img2dataset"
BARE_LOOP = os.environ.get("BARE_LOOP")
PHOTOS = Path(os.environ.get("PHOTOS", ROOT.parent / "shared" / "data"))

# name: (size, pictures, rows of the short list, rows of the long one); four shards a process at most, since img2dataset
# starts a process anew after five. Lists are long enough that its start-up, which varies by half a second, is little.
CORPORA = {"468x401": ((468, 401), 2000, 2000, 8000), "1200x900": ((1200, 900), 600, 600, 2400)}
ROUNDS = 3
PROCESSES = 2
CONNECTIONS = 32
DEADLINE = 5
SILENT_HOSTS = 20
HELPS = 50
BARS = {"468x401": 2.2, "1200x900": 3.5}


def ours(table, output, *more, processes=PROCESSES, connections=CONNECTIONS):
    return [CLIPDATA, "download", table, "--output-folder", output, "--caption-col", "caption", "--processes-count", processes,
            "--thread-count", connections, "--max-connections-per-host", CONNECTIONS, "--allow-private-addresses", "--json", *more]


def theirs(table, output, *more, connections=CONNECTIONS):
    return [IMG2DATASET, "--url_list", table, "--input_format", "tsv", "--url_col", "url", "--caption_col", "caption",
            "--output_format", "webdataset", "--output_folder", output, "--processes_count", PROCESSES,
            "--thread_count", connections // PROCESSES, *more]


TOOLS = {"clipdata": ours, "img2dataset": theirs}
RUNS = {**TOOLS, "clipdata, one core": lambda *arguments: ["taskset", "-c", "0", *ours(*arguments, processes=1)]}


def run(tool, urls, *more, **how):
    """The Usage of one download into a new folder, and how many rows succeeded."""
    with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
        table, output = Path(scratch) / "list.tsv", Path(scratch) / "out"
        table.write_text("url\tcaption\n" + "".join(f"{url}\tpicture {i}\n" for i, url in enumerate(urls)))
        usage = measured(RUNS[tool](table, output, *more, **how), env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"})
        stats = [json.loads(path.read_text()) for path in output.glob("*_stats.json")]
        return usage, sum(part["successes"] for part in stats)


def prepared(name):
    size, pictures, short, long = CORPORA[name]
    photos = sorted(PHOTOS.glob("cc-by-photos/*.jpg")) + sorted(PHOTOS.glob("clothing-cc0/*/*/*.jpg"))
    corpus.draw(KEPT / name, photos, size, pictures)
    return pictures, short, long


def urls_of(address, name, rows):
    return [f"{address}/{name}/{i % CORPORA[name][1]:05}.jpg?{i}" for i in range(rows)]


def cost(tool, address, name, mode):
    """What one picture takes, start-up excluded."""
    _, short, long = prepared(name)
    options = ["--image_size", 256, "--resize_mode", mode, "--number_sample_per_shard", short // 2]
    few, some = run(tool, urls_of(address, name, short), *map(str, options))
    many, all_of_them = run(tool, urls_of(address, name, long), *map(str, options))
    if (some, all_of_them) != (short, long):
        sys.exit(f"{tool}: {some} of {short} and {all_of_them} of {long} pictures")
    rows = long - short
    return {"cpu_ms": (many.cpu - few.cpu) / rows * 1e3, "wall_ms": (many.wall - few.wall) / rows * 1e3, "long_wall_s": many.wall,
            "rows": long, "largest_mb": many.largest / 1e3, "tree_mb": max(many.tree, many.largest) / 1e3}


def pair(name, mode):
    prepared(name)
    with servers.files(KEPT) as (address, server):
        rounds = [{tool: cost(tool, address, name, mode) for tool in TOOLS} for _ in range(ROUNDS)]
    found = {tool: {key: median(r[tool][key] for r in rounds) for key in rounds[0][tool]} for tool in TOOLS}
    here, peer = found["clipdata"], found["img2dataset"]
    found["ratio"] = {key: peer[key] / here[key] for key in here if key != "rows"}
    found["bars"] = {"cpu": found["ratio"]["cpu_ms"] >= BARS[name], "wall": found["ratio"]["wall_ms"] >= 2}
    return {"server": server, "rounds": rounds, **found}


def bare_loop(name, mode):
    """A download on one core beside a loop on one core that only decodes, resizes and encodes the same pictures."""
    pictures, short, long = prepared(name)
    options = ["--image_size", "256", "--resize_mode", mode, "--number_sample_per_shard", str(short // 2)]
    with servers.files(KEPT) as (address, server):
        rounds = [one_core(address, name, mode, options, (short, long)) for _ in range(ROUNDS)]
    found = {tool: {"cpu_ms": median(r[tool] for r in rounds)} for tool in ("clipdata", "bare loop")}
    share = found["bare loop"]["cpu_ms"] / found["clipdata"]["cpu_ms"]
    return {"server": server, **found, "ratio": {"cpu_ms": share}, "bars": {"85 % of the bare loop": share >= 0.85}}


def one_core(address, name, mode, options, lists):
    (few, _), (many, _) = (run("clipdata, one core", urls_of(address, name, rows), *options) for rows in lists)
    bare = measured(["taskset", "-c", "0", BARE_LOOP, KEPT / name, mode, 256, 5])
    return {"clipdata": (many.cpu - few.cpu) / (lists[1] - lists[0]) * 1e3,
            "bare loop": bare.cpu / json.loads(bare.out)["pictures"] * 1e3}


def dead_hosts():
    """One URL in a hundred leads to a host that never answers, against the same list without them. Both have the 256 connections
    that they have by default: with few, the dead ones would hold them all."""
    name = "468x401"
    prepared(name)
    options = ["--image_size", "256", "--timeout", str(DEADLINE), "--number_sample_per_shard", "500"]
    found = {}
    with servers.files(KEPT) as (address, server), servers.silent_hosts(SILENT_HOSTS) as silent:
        alive = urls_of(address, name, CORPORA[name][3])
        dead = [f"{silent[i % SILENT_HOSTS]}/{i}.jpg" for i in range(len(alive) // 100)]
        mixed = [url for i, url in enumerate(alive) for url in ([url, dead[i // 100]] if i % 100 == 99 else [url])]
        for tool in TOOLS:
            (plain, some), (slowed, others) = (run(tool, urls, *options, connections=256) for urls in (alive, mixed))
            found[tool] = {"without_s": plain.wall, "with_s": slowed.wall, "more_s": slowed.wall - plain.wall, "lost": some - others}
    return {"server": server, "deadline_s": DEADLINE, **found, "bars": {"one deadline": found["clipdata"]["more_s"] <= DEADLINE}}


def start_up():
    walls = {"clipdata": [measured([CLIPDATA, "--help"]).wall for _ in range(HELPS)],
             "img2dataset": [measured([IMG2DATASET, "--help"], env={**os.environ, "PAGER": "cat"}).wall for _ in range(3)]}
    found = {tool: {"help_ms": sum(times) / len(times) * 1e3} for tool, times in walls.items()}
    return {**found, "bars": {"20 ms": found["clipdata"]["help_ms"] <= 20}}


MEASUREMENTS = {"start-up": start_up, "dead-hosts": dead_hosts}
MEASUREMENTS |= {f"{name}-{mode}": lambda name=name, mode=mode: pair(name, mode) for name in CORPORA for mode in ("border", "keep_ratio")}
if BARE_LOOP:
    MEASUREMENTS |= {f"{name}-bare": lambda name=name: bare_loop(name, "border") for name in CORPORA}


def show(name, found):
    print(f"\n{name}" + "".join(f", {key}: {found[key]}" for key in ("server", "deadline_s") if key in found))
    columns = [key for key in (*TOOLS, "bare loop", "ratio") if key in found]
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for key in found["clipdata"]:
        print(f"| {key} | {' | '.join(f'{found[column][key]:.2f}' if key in found[column] else '' for column in columns)} |")
    print("  ".join(f"{bar}: {'met' if met else 'MISSED'}" for bar, met in found["bars"].items()), flush=True)


def main(names):
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / "download.json"
    results = json.loads(kept.read_text()) if kept.exists() and names else {}
    for name in names or MEASUREMENTS:
        results[name] = MEASUREMENTS[name]()
        show(name, results[name])
        kept.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
