//! The table of open_clip's flags in the documentation, the flags themselves, and what they do hold together.

use std::collections::BTreeMap;

use clap::{Command, CommandFactory, Parser};
use tools::exit::Hint;

use super::Cli;

/// A row of the table.
struct Row {
    flag: String,
    default: String,
    here: String,
}

fn table() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-open-clip.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    let rows = text.lines().filter(|line| line.starts_with("| `--"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [flag, default, here, _] = cells[..] else { panic!("four cells expected: {line}") };
        let plain = |cell: &str| cell.trim_matches('`').to_owned();
        Row { flag: plain(flag), default: plain(default), here: here.to_owned() }
    })
    .collect()
}

fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The flag, with something behind it where it wants something.
fn typed(command: &Command, flag: &str) -> Vec<String> {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&flag[2..])).expect("a flag");
    let mut typed = vec!["cliptrain".to_owned(), flag.to_owned()];
    if argument.get_action().takes_values() {
        typed.push("1".to_owned());
    }
    typed
}

#[test]
fn every_flag_of_open_clip_is_there_with_its_default() {
    let (command, rows) = (command(), table());
    assert_eq!(rows.len(), 90);
    let mut defaults = BTreeMap::new();
    for argument in command.get_arguments() {
        let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        defaults.insert(format!("--{}", argument.get_long().unwrap_or_default()), values.join(" "));
    }
    for Row { flag, default, here } in &rows {
        let found = defaults.get(flag).unwrap_or_else(|| panic!("{flag} is no flag"));
        let states = ["same", "better", "no effect", "refused"];
        assert!(states.contains(&here.as_str()), "{flag}: {here}");
        // Flags that do nothing have no value of their own; device and model are found where none is named.
        if matches!(here.as_str(), "no effect" | "refused") || ["--device", "--model"].contains(&flag.as_str()) {
            continue;
        }
        let number = |text: &str| text.parse::<f64>().ok();
        let is_off = |text: &str| matches!(text, "" | "None" | "off" | "none" | "false");
        let agrees = found == default || (number(found).is_some() && number(found) == number(default));
        assert!(agrees || (is_off(found) && is_off(default)), "{flag}: default {found:?}, expected {default:?}");
    }
}

#[test]
fn what_is_refused_says_why_and_what_to_do() {
    let command = command();
    let refused: Vec<Row> = table().into_iter().filter(|row| row.here == "refused").collect();
    assert!(refused.len() >= 8);
    let values = [["--opt", "timm/lamb"], ["--remote-sync-protocol", "fsspec"]];
    let values = values.map(|[flag, value]| vec!["cliptrain".to_owned(), flag.to_owned(), value.to_owned()]);
    for arguments in refused.iter().map(|row| typed(&command, &row.flag)).chain(values) {
        let error = Cli::parse_from(&arguments).train.check().expect_err(&arguments[1]);
        assert!(error.chain().any(|cause| cause.to_string().contains(&arguments[1])), "{error:#}");
        assert!(error.downcast_ref::<Hint>().is_some(), "{error:#}");
    }
}

#[test]
fn what_has_no_effect_is_accepted_and_told() {
    let command = command();
    let rows: Vec<Row> = table().into_iter().filter(|row| row.here == "no effect").collect();
    assert!(rows.len() >= 10);
    for row in rows {
        let arguments = Cli::parse_from(typed(&command, &row.flag)).train;
        arguments.check().unwrap_or_else(|error| panic!("{}: {error:#}", row.flag));
        let told = arguments.elsewhere.without_effect();
        assert!(told.len() == 1 && told[0].starts_with(&row.flag), "{}: {told:?}", row.flag);
    }
}

/// The commands of open_clip 2's README, launchers left out.
#[test]
fn commands_of_the_readme_are_understood() {
    for line in [
        "--save-frequency 1 --zeroshot-frequency 1 --report-to tensorboard --train-data=/path/to/train_data.csv \
         --val-data=/path/to/validation_data.csv --csv-img-key filepath --csv-caption-key title \
         --imagenet-val=/path/to/imagenet/root/val/ --warmup 10000 --batch-size=128 --lr=1e-3 --wd=0.1 --epochs=30 \
         --workers=8 --model RN50",
        "--train-data /data/cc12m/cc12m-train-{0000..2175}.tar --train-num-samples 10968539 --dataset-type webdataset \
         --batch-size 320 --precision amp --workers 4 --imagenet-val /data/imagenet/validation/",
        "--save-frequency 1 --report-to tensorboard --train-data=/data/LAION-400M/{00000..41455}.tar --warmup 2000 \
         --batch-size=256 --epochs=32 --workers=8 --model ViT-B-32 --name ViT-B-32-Vanilla --seed 0 --local-loss \
         --gather-with-grad",
        "--train-data=/path/to/train_data.csv --val-data=/path/to/validation_data.csv --resume /path/to/checkpoints/epoch_K.pt",
        "--train-data=pipe:aws s3 cp s3://bucket/{00000..00329}.tar - --dataset-type webdataset --train-num-samples 3000000 \
         --val-data=pipe:x --val-num-samples 10000 --dataset-type webdataset --batch-size 256 --warmup 2000 --epochs 10 \
         --lr 5e-4 --precision amp --workers 6 --model roberta-ViT-B-32 --lock-text --lock-text-unlocked-layers 10 \
         --name 10_unfrozen --report-to tensorboard",
        "--val-data=/path/to/validation_data.csv --model RN101 --pretrained /path/to/checkpoints/epoch_K.pt",
        "--imagenet-val /path/to/imagenet/validation --model ViT-B-32-quickgelu --pretrained laion400m_e32",
    ] {
        let words = line.replace("aws s3 cp s3://bucket/{00000..00329}.tar -", "aws");
        let arguments = std::iter::once("cliptrain").chain(words.split_whitespace());
        let parsed = Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{line}: {error}"));
        parsed.train.check().unwrap_or_else(|error| panic!("{line}: {error:#}"));
    }
}
