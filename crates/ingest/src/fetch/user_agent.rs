//! Who asks: the user agent that servers see, and the name in it by which they may address it.

use reqwest::header::HeaderValue;

use super::options::FetchOptions;
use crate::error::Error;

/// The name by default.
const PRODUCT: &str = "clipdata";

/// A user agent.
#[derive(Clone, Debug)]
pub struct UserAgent {
    /// As it is sent.
    pub header: HeaderValue,
    /// What `robots.txt` and `X-Robots-Tag` call it.
    pub product: String,
}

impl UserAgent {
    /// The user agent that `options` ask for.
    ///
    /// # Errors
    /// When it cannot be sent as a header.
    pub fn new(options: &FetchOptions) -> Result<Self, Error> {
        let (option, text) = match &options.user_agent {
            Some(text) => ("user_agent", text.clone()),
            None => ("user_agent_token", own(options.user_agent_token.as_deref())),
        };
        let header = HeaderValue::from_str(&text)
            .map_err(|_| Error::Config { option, reason: format!("`{text}` cannot be sent as a header") })?;
        Ok(Self { header, product: product(&text) })
    }
}

fn own(token: Option<&str>) -> String {
    let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let user = token.map_or(String::new(), |token| format!("; {token}"));
    format!("{PRODUCT}/{version} (+img2dataset-compatible; image-text dataset download{user})")
}

/// The letters, `-` and `_` that a user agent begins with (RFC 9309, section 2.2.1).
fn product(user_agent: &str) -> String {
    let name = user_agent.chars().take_while(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_'));
    let name: String = name.collect();
    if name.is_empty() { PRODUCT.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(user_agent: Option<&str>, token: Option<&str>) -> Result<UserAgent, Error> {
        let (user_agent, user_agent_token) = (user_agent.map(String::from), token.map(String::from));
        UserAgent::new(&FetchOptions { user_agent, user_agent_token, ..FetchOptions::default() })
    }

    #[test]
    fn it_says_who_asks() {
        let agent = agent(None, Some("lab.example")).unwrap();
        let expected = "clipdata/0.1 (+img2dataset-compatible; image-text dataset download; lab.example)";
        assert_eq!((agent.header.to_str().unwrap(), agent.product.as_str()), (expected, "clipdata"));
    }

    #[test]
    fn it_can_be_replaced_whole() {
        let agent = agent(Some("Lab-Bot/2 (+https://lab.example)"), Some("unused")).unwrap();
        assert_eq!(agent.header, "Lab-Bot/2 (+https://lab.example)");
        assert_eq!(agent.product, "Lab-Bot");
    }

    #[test]
    fn one_that_is_no_header_is_named() {
        assert!(agent(None, Some("a\nb")).unwrap_err().to_string().contains("user_agent_token"));
        assert!(agent(Some("a\nb"), None).unwrap_err().to_string().contains("`user_agent`"));
    }
}
