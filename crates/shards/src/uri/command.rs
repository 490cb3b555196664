//! Commands that do no more than fetch one object, and the address that they fetch.

/// What the shell would take apart, or put something in place of; a command with one of them is left as it is.
const SHELL: &str = "'\"\\$`|;&<>(){}*?~#!\n";

/// Options that change how much is told, not what is fetched.
const QUIET: [&str; 9] =
    ["-s", "-L", "-sL", "-Ls", "--silent", "--location", "--quiet", "--only-show-errors", "--no-progress"];

/// The address that `command` writes to its standard output, where it is one of the forms that users of webdataset know:
/// `aws s3 cp URL -`, `s3cmd get URL -`, `curl -s -L URL`, `wget -qO- URL`, `cat PATH`.
pub(super) fn address(command: &str) -> Option<&str> {
    if command.contains(|c| SHELL.contains(c)) {
        return None;
    }
    let words: Vec<&str> = command.split_whitespace().filter(|word| !QUIET.contains(word)).collect();
    let (address, schemes): (&str, &[&str]) = match words.as_slice() {
        ["aws", "s3", "cp", address, "-"] | ["s3cmd", "get", address, "-"] => (address, &["s3://"]),
        ["curl", address] | ["wget", "-qO-", address] | ["wget", "-q", "-O", "-", address] => {
            (address, &["http://", "https://"])
        }
        ["cat", path] if !path.starts_with('-') => return Some(path),
        _ => return None,
    };
    schemes.iter().any(|scheme| address.starts_with(scheme)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn commands_that_fetch_one_object_are_known() {
        for (command, expected) in [
            ("aws s3 cp s3://b/0.tar -", "s3://b/0.tar"),
            ("aws s3 cp --quiet s3://b/0.tar - --only-show-errors", "s3://b/0.tar"),
            ("s3cmd get s3://b/0.tar -", "s3://b/0.tar"),
            ("curl -s -L https://h/0.tar", "https://h/0.tar"),
            ("curl -sL http://h/0.tar", "http://h/0.tar"),
            ("wget -q -O - https://h/0.tar", "https://h/0.tar"),
            ("cat a/0.tar", "a/0.tar"),
        ] {
            assert_eq!(address(command), Some(expected), "{command}");
        }
    }

    #[test]
    fn whatever_else_a_command_does_is_done() {
        for command in [
            "aws s3 cp s3://b/0.tar - | pigz -d",
            "aws s3 cp --no-sign-request s3://b/0.tar -",
            "aws s3 cp s3://b/0.tar here.tar",
            "curl -s -L -H x:y https://h/0.tar",
            "curl -s -L https://h/0.tar || true",
            "curl ftp://h/0.tar",
            "cat a.tar b.tar",
            "cat -",
            "gsutil cat gs://b/0.tar",
            "cat $HOME/0.tar",
        ] {
            assert_eq!(address(command), None, "{command}");
        }
    }
}
