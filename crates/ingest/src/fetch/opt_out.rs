//! `X-Robots-Tag`: servers that forbid the use of a picture.
//!
//! A header is a comma-separated list of directives; `agent: directives` addresses one user
//! agent. Directives for everyone count, and so do those for our own agent.

/// The directives that are obeyed.
#[derive(Clone, Debug, Default)]
pub struct OptOut {
    directives: Vec<String>,
    /// The product token that servers may address, in lower case.
    agent: String,
}

impl OptOut {
    /// Obeys `directives` (`noai`, `noindex`, ...), for everyone and for the user agent `agent`.
    pub fn new(directives: &[String], agent: &str) -> Self {
        let mut directives: Vec<_> = directives.iter().map(|directive| directive.trim().to_ascii_lowercase()).collect();
        // `noml` says of machine learning what `noai` says.
        if directives.iter().any(|directive| directive == "noai") {
            directives.push("noml".into());
        }
        Self { directives, agent: agent.to_ascii_lowercase() }
    }

    /// The first directive of one header value that forbids the use.
    pub fn forbidden_by<'a>(&self, header: &'a str) -> Option<&'a str> {
        let mut addressed = true;
        for part in header.split(',') {
            let mut directive = part.trim();
            // A colon after a name that takes a value is not an address.
            if let Some((name, rest)) = directive.split_once(':').filter(|(name, _)| !takes_value(name)) {
                let name = name.trim().to_ascii_lowercase();
                addressed = name == "*" || name == self.agent;
                directive = rest.trim();
            }
            if addressed && self.directives.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(directive)) {
                return Some(directive);
            }
        }
        None
    }
}

fn takes_value(name: &str) -> bool {
    const WITH_VALUE: [&str; 4] = ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];
    WITH_VALUE.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> OptOut {
        OptOut::new(&["noai", "noimageai", "noindex", "noimageindex"].map(String::from), "clipdata")
    }

    #[test]
    fn directives_are_found_wherever_they_stand() {
        for header in ["noai", "NoAI", "nofollow, noindex", " noimageai ", "noml", "clipdata: noai", "*: noindex"] {
            assert!(default().forbidden_by(header).is_some(), "{header}");
        }
        let dated = "unavailable_after: 25 Jun 2010 15:00:00 PST, noindex";
        assert_eq!(default().forbidden_by(dated), Some("noindex"));
    }

    #[test]
    fn other_directives_and_other_agents_do_not_count() {
        for header in ["", "all", "nofollow", "googlebot: noindex", "googlebot: nofollow, noindex", "noaiai"] {
            assert_eq!(default().forbidden_by(header), None, "{header}");
        }
        assert_eq!(OptOut::new(&[], "clipdata").forbidden_by("noai, noml"), None);
    }
}
