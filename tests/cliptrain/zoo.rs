//! `cliptrain models`, `encode` and `embed`: what they print, write and refuse.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use support::{Format, picture};
use tempfile::TempDir;

use crate::{cliptrain, model, shards, train};

/// Weights of the small model, as a training run of no use leaves them.
fn weights(folder: &TempDir) -> PathBuf {
    let spec = shards(folder);
    let _ = train(folder, &spec, "run").run().success();
    crate::weights(folder, "run")
}

#[test]
fn models_lists_presets_with_sizes_and_tags() {
    let told = cliptrain().arg("models").run().expect_code(0).stdout;
    let line = |name: &str| told.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap().to_owned();
    assert!(line("RN50").contains("102.01") && line("ViT-g-14").contains("1366.68"), "{told}");
    assert!(line("ViT-B-32").contains("laion2b_s34b_b79k") && !line("ViT-B-32").contains("openai"));
    assert!(line("ViT-B-32-quickgelu").contains("openai laion400m_e31 laion400m_e32"));
    let json = cliptrain().args(["models", "--json"]).run().expect_code(0).stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["data"]["name"]), (&"model".into(), &"RN50".into()));
    let squashed = json.lines().find(|line| line.contains("\"ViT-H-14-378-quickgelu\"")).unwrap();
    assert!(squashed.contains("\"tag\":\"dfn5b\"") && squashed.contains("\"resize_mode\":\"squash\""), "{squashed}");
}

#[test]
fn encode_prints_probabilities_and_writes_features() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let (image, output) = (folder.path().join("a.jpg"), folder.path().join("features.safetensors"));
    fs::write(&image, picture(1, 40, 30, Format::Jpeg)).unwrap();
    let encode = || cliptrain().arg("encode").arg("--pretrained").arg(&weights).arg("--image").arg(&image);
    let finished = encode().args(["--text", "a cat", "a dog", "--json", "--output"]).arg(&output).run().expect_code(0);
    let line: serde_json::Value = serde_json::from_str(finished.stdout.trim()).unwrap();
    let texts = line["data"]["texts"].as_array().unwrap();
    let sum: f64 = texts.iter().map(|text| text["probability"].as_f64().unwrap()).sum();
    assert!(texts.len() == 2 && (sum - 1.0).abs() < 1e-5, "{line}");
    let bytes = fs::read(&output).unwrap();
    let header = String::from_utf8_lossy(&bytes[8..300]).into_owned();
    for (name, shape) in [("image_features", "[1,16]"), ("text_features", "[2,16]"), ("probabilities", "[1,2]")] {
        assert!(header.contains(name) && header.contains(shape), "{header}");
    }
    fs::write(&image, b"no picture").unwrap();
    let finished = encode().args(["--text", "a", "--json"]).run().expect_code(2);
    assert!(finished.stderr.contains("a.jpg"), "{}", finished.stderr);
}

/// Weights that want pictures squashed get them so: what a square picture gives stays, what a wide one gives does not.
#[test]
fn pictures_are_fitted_as_the_weights_say() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let config = weights.join("open_clip_config.json");
    let features = |name: &str, size: (u32, u32)| {
        let image = folder.path().join("a.png");
        fs::write(&image, picture(1, size.0, size.1, Format::Png)).unwrap();
        let output = folder.path().join(format!("{name}.safetensors"));
        let encode = cliptrain().arg("encode").arg("--pretrained").arg(&weights).arg("--image").arg(&image);
        let _ = encode.arg("--output").arg(&output).run().expect_code(0);
        fs::read(&output).unwrap()
    };
    let before = [(90, 30), (32, 32)].map(|size| features("before", size));
    let mut said: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    said["preprocess_cfg"]["resize_mode"] = "squash".into();
    fs::write(&config, said.to_string()).unwrap();
    let after = [(90, 30), (32, 32)].map(|size| features("after", size));
    assert!(before[0] != after[0] && before[1] == after[1]);
    said["preprocess_cfg"]["resize_mode"] = "stretched".into();
    fs::write(&config, said.to_string()).unwrap();
    let finished = cliptrain()
        .arg("encode")
        .arg("--pretrained")
        .arg(&weights)
        .args(["--text", "a", "--json"])
        .run()
        .expect_code(2);
    assert!(
        finished.stderr.contains("stretched") && finished.stderr.contains("open_clip_config.json"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_cannot_be_a_model_is_named() {
    let cases = [
        (vec!["--model", "ViT-B32", "--pretrained", "openai"], "nearest: ViT-B-32"),
        (vec!["--model", "ViT-B-32", "--pretrained", "openai"], "--model ViT-B-32-quickgelu"),
        (vec!["--model", "ViT-B-32", "--pretrained", "laion5b"], "laion2b_s34b_b79k"),
        (vec!["--model", "RN50", "--pretrained", "x.pt", "--force-image-size", "230"], "not a multiple of 32"),
        (vec!["--model", "RN50"], "--pretrained"),
        (vec!["--pretrained", "hf-hub:../x"], "ORG/NAME"),
    ];
    for (arguments, word) in cases {
        let finished = cliptrain().arg("encode").args(&arguments).args(["--text", "a", "--json"]).run().expect_code(2);
        assert!(finished.stderr.contains(word), "{arguments:?}: expected `{word}` in: {}", finished.stderr);
    }
}

/// The bytes of a tensor in a safetensors file.
fn tensor(path: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let end = |i: usize| 8 + length + header[name]["data_offsets"][i].as_u64().unwrap() as usize;
    bytes[end(0)..end(1)].to_vec()
}

/// Shape in the header of an npy file.
fn shape(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
    header.split("'shape': ").nth(1).unwrap().split(", }").next().unwrap().to_owned()
}

#[test]
fn embed_writes_a_part_a_shard_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let (spec, output) = (folder.path().join("shards/{00000..00001}.tar"), folder.path().join("embeddings"));
    let embed = || {
        let command =
            cliptrain().arg("embed").arg(&spec).arg("--output").arg(&output).arg("--pretrained").arg(&weights);
        command.args(["--batch-size", "3", "--workers", "2", "--json"])
    };
    let summary = |text: &str| -> serde_json::Value { serde_json::from_str(text.lines().last().unwrap()).unwrap() };
    let told = summary(&embed().run().expect_code(0).stdout);
    assert_eq!((&told["data"]["embedded"], &told["data"]["parts"]), (&16.into(), &2.into()));
    for part in 0..2 {
        assert_eq!(shape(&output.join(format!("img_emb/img_emb_{part}.npy"))), "(8, 16)");
        assert_eq!(shape(&output.join(format!("text_emb/text_emb_{part}.npy"))), "(8, 16)");
    }
    let first = output.join("img_emb/img_emb_0.npy");
    let before = fs::read(&first).unwrap();
    fs::remove_file(output.join("parts/part_1.json")).unwrap();
    let told = summary(&embed().run().expect_code(0).stdout);
    assert_eq!((&told["data"]["parts_before"], &told["data"]["parts"]), (&1.into(), &1.into()));
    assert_eq!(fs::read(first).unwrap(), before);
    let other = embed().arg("--force-context-length").arg("8").run().expect_code(2);
    assert!(other.stderr.contains("embeddings of something else: model"), "{}", other.stderr);
}

#[test]
fn embed_follows_shards_and_weights_that_change() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let (shards, output) = (folder.path().join("shards"), folder.path().join("embeddings"));
    let embed = |spec: &str| {
        let command = cliptrain().arg("embed").arg(shards.join(spec)).arg("--output").arg(&output);
        command.arg("--pretrained").arg(&weights).args(["--workers", "1", "--json"])
    };
    let counts = |finished: &support::Finished| {
        let told = finished.json_data("summary").pop().unwrap();
        ["parts", "parts_again", "parts_before", "rows_before"].map(|name| told[name].as_u64().unwrap())
    };
    assert_eq!(counts(&embed("00000.tar").run().success()), [1, 0, 0, 0]);
    // A longer list goes on where the shorter one ended.
    let second = shards.join("00001.tar");
    let whole = fs::read(&second).unwrap();
    fs::write(&second, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(counts(&embed("{00000..00001}.tar").run().expect_code(1)), [1, 0, 1, 8]);
    // What was cut is told again, and made again once it is whole.
    assert_eq!(counts(&embed("{00000..00001}.tar").run().expect_code(1))[2], 2);
    fs::write(&second, &whole).unwrap();
    assert_eq!(counts(&embed("{00000..00001}.tar").run().success()), [1, 1, 1, 8]);
    assert_eq!(shape(&output.join("img_emb/img_emb_1.npy")), "(8, 16)");
    let shorter = embed("00000.tar").run().success();
    assert!(shorter.stderr.contains("parts from 1 on are of a longer list"), "{shorter}");
    let others = embed("{00001..00000}.tar").run().expect_code(2);
    assert!(others.stderr.contains("part 0 is of"), "{others}");
    let stepped = train(&folder, &shards.join("{00000..00001}.tar").display().to_string(), "more");
    let _ = stepped.args(["--epochs", "1"]).run().success();
    let weights_file = folder.path().join("logs/more/checkpoints/epoch_1/open_clip_model.safetensors");
    fs::copy(weights_file, weights.join("open_clip_model.safetensors")).unwrap();
    let stale = embed("{00000..00001}.tar").run().expect_code(2);
    assert!(stale.stderr.contains("as they were then") && stale.stderr.contains("another --output"), "{stale}");
}

#[test]
fn encode_without_anything_to_show_says_so_and_json_has_features() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let encode = |arguments: &[&str]| cliptrain().arg("encode").arg("--pretrained").arg(&weights).args(arguments);
    let nothing = encode(&["--text", "a cat"]).run().expect_code(2);
    assert!(nothing.stderr.contains("texts alone have no probabilities"), "{nothing}");
    let numpy = encode(&["--text", "a cat", "--output", "x.npy"]).run().expect_code(2);
    assert!(numpy.stderr.contains(".safetensors") && numpy.stderr.contains("cliptrain embed"), "{numpy}");
    let lines = encode(&["--text", "a cat", "a dog", "--json"]).run().success().json_data("features");
    assert_eq!((lines.len(), &lines[1]["text"]), (2, &"a dog".into()));
    let norm: f64 = lines[0]["features"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((norm - 1.0).abs() < 1e-5, "{norm}");
}

#[test]
fn weights_are_found_by_their_file_and_missing_ones_by_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let encode = |pretrained: &Path| {
        cliptrain().arg("encode").arg("--pretrained").arg(pretrained).args(["--text", "a cat", "--json"]).run()
    };
    let by_folder = encode(&weights).success().stdout;
    assert_eq!(encode(&weights.join("open_clip_model.safetensors")).success().stdout, by_folder);
    let run = weights.parent().unwrap().parent().unwrap();
    let refused = encode(run).expect_code(2);
    assert!(refused.stderr.contains("is no checkpoint but a run's folder; its newest one is"), "{refused}");
}

#[test]
fn folder_of_pictures_is_embedded_with_its_captions() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let (pictures, output) = (folder.path().join("pictures"), folder.path().join("embeddings"));
    fs::create_dir_all(pictures.join("more")).unwrap();
    fs::write(pictures.join("a.jpg"), picture(1, 40, 30, Format::Jpeg)).unwrap();
    fs::write(pictures.join("a.txt"), "a caption").unwrap();
    fs::write(pictures.join("more/b.jpg"), picture(2, 40, 30, Format::Jpeg)).unwrap();
    fs::write(pictures.join("c.jpg"), b"no picture").unwrap();
    let finished =
        cliptrain().arg("embed").arg(&pictures).arg("--output").arg(&output).arg("--pretrained").arg(&weights);
    let told = finished.run().expect_code(0).stdout;
    assert!(told.contains("2 rows in 1 part") && told.contains("1 sample left out: not decodable"), "{told}");
    assert_eq!(shape(&output.join("img_emb/img_emb_0.npy")), "(2, 16)");
}

#[test]
fn residual_network_trains_and_its_statistics_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let spec = shards(&folder);
    let config = fs::read_to_string(model(&folder)).unwrap();
    let tower = r#""vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": null, "head_width": 32},"#;
    let start = config.find("\"vision_cfg\"").unwrap();
    let end = config.find("\"text_cfg\"").unwrap();
    let path = folder.path().join("resnet.json");
    fs::write(&path, format!("{}{tower}{}", &config[..start], &config[end..])).unwrap();
    let checkpoint = |name: &str| folder.path().join("logs").join(name).join("checkpoints/epoch_1");
    let train = |name: &str| {
        let command = cliptrain().args(["--train-data", &spec, "--name", name, "--batch-size", "4", "--epochs", "1"]);
        command.args(["--warmup", "2", "--workers", "1", "--logs"]).arg(folder.path().join("logs"))
    };
    let _ = train("rn").arg("--model").arg(&path).run().success();
    let mean = |name: &str| tensor(&checkpoint(name).join("open_clip_model.safetensors"), "visual.bn1.running_mean");
    let weight = |name: &str| tensor(&checkpoint(name).join("open_clip_model.safetensors"), "visual.conv1.weight");
    let counted = tensor(&checkpoint("rn").join("open_clip_model.safetensors"), "visual.bn1.num_batches_tracked");
    assert_eq!(counted, 4i64.to_le_bytes());
    let tuned = |name: &str| train(name).arg("--pretrained").arg(checkpoint("rn")).arg("--lock-image");
    let _ = tuned("locked").run().success();
    let _ = tuned("frozen").arg("--lock-image-freeze-bn-stats").run().success();
    assert!(weight("locked") == weight("rn") && weight("frozen") == weight("rn"), "a locked tower learns nothing");
    assert!(mean("locked") != mean("rn"), "statistics follow the data unless they are frozen");
    assert!(mean("frozen") == mean("rn"));
}

#[test]
fn embed_makes_again_what_is_missing_and_names_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(&folder);
    let (pictures, output) = (folder.path().join("pictures"), folder.path().join("embeddings"));
    fs::create_dir_all(&pictures).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff.jpg");
    fs::write(pictures.join("a.jpg"), picture(1, 40, 30, Format::Jpeg)).unwrap();
    fs::write(pictures.join(name), picture(2, 40, 30, Format::Jpeg)).unwrap();
    fs::write(pictures.join("a.txt"), b"gr\xfcn").unwrap();
    fs::write(pictures.join("\u{1b}[31m.jpg"), b"no picture").unwrap();
    std::os::unix::fs::symlink(&pictures, pictures.join("again")).unwrap();
    let embed = || {
        let command = cliptrain().arg("embed").arg(&pictures).arg("--output").arg(&output);
        command.arg("--pretrained").arg(&weights).args(["--json", "--workers", "3"])
    };
    let counts = |finished: &support::Finished| {
        let told = finished.json_data("summary").pop().unwrap();
        ["parts", "embedded", "rows_before", "without_caption", "undecodable"].map(|name| told[name].as_u64().unwrap())
    };
    let first = embed().run().success();
    assert_eq!(counts(&first), [1, 2, 0, 1, 1], "{first}");
    assert!(first.stderr.contains("is left out: ") && !first.stderr.contains('\u{1b}'), "{first}");
    assert_eq!(counts(&embed().run().success()), [0, 0, 2, 1, 1], "what was left out is told again");
    for file in ["img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy", "metadata/metadata_0.parquet"] {
        let path = output.join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(counts(&embed().run().success())[..2], [1, 2], "{file}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        fs::remove_file(&path).unwrap();
        assert_eq!(counts(&embed().run().success())[..2], [1, 2], "{file}");
    }
    fs::remove_file(output.join("embed.json")).unwrap();
    let other = embed().args(["--force-context-length", "8"]).run().expect_code(2);
    assert!(other.stderr.contains("part 0 is of other weights"), "{other}");
}
