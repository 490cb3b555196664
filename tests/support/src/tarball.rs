//! Tar files in memory.

/// A tar of these (name, content) pairs, in this order, without times or owners.
pub fn tarball<N: AsRef<str>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, C)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let content = content.as_ref();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, name.as_ref(), content).expect("memory takes any tar");
    }
    tar.into_inner().expect("memory takes any tar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_out_as_they_went_in() {
        let bytes = tarball([("a.txt", "one"), ("b.txt", "")]);
        let mut archive = tar::Archive::new(&*bytes);
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["a.txt", "b.txt"]);
    }
}
