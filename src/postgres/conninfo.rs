//! Connection strings of libpq in their keyword/value form. Floor 0.
//!
//! Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE>.

use std::collections::BTreeMap;
use std::fmt;

/// Keywords whose values are never shown.
const SECRETS: [&str; 5] =
    ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

/// What changes how a login is made, and is no secret and no address: whoever logs in where a standby
/// streams from does it in the same way.
const OF_A_LOGIN: [&str; 23] = [
    "sslmode",
    "sslnegotiation",
    "sslcertmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "sslcompression",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "channel_binding",
    "require_auth",
    "requirepeer",
    "gssencmode",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "min_protocol_version",
    "max_protocol_version",
    "tcp_user_timeout",
    "keepalives_idle",
];

/// Keywords and values, in their order. `Debug` and `Display` hide secrets; [`Conninfo::to_text`]
/// gives all of it, for libpq.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Conninfo(Vec<(String, String)>);

/// Why a text is not a connection string. It never quotes the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// It is of the form `postgresql://…`.
    #[error("the connection string is a URI; pgtwin reads the form keyword=value only")]
    Uri,
    /// A keyword without a value.
    #[error("the connection string has no = after the keyword that begins at byte {0}")]
    NoEquals(usize),
    /// A value without a keyword.
    #[error("the connection string has no keyword before the = at byte {0}")]
    NoKeyword(usize),
    /// A quoted value without its end.
    #[error("the connection string has a quoted value without an end")]
    NoEnd,
}

impl Conninfo {
    /// No keywords.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a connection string the way libpq does. Where a keyword is repeated, libpq takes the
    /// last value; so does [`Conninfo::get`].
    pub fn parse(text: &str) -> Result<Self, ConninfoError> {
        let mut rest = text.trim_start_matches(is_blank);
        // Behind blanks libpq takes it for a keyword, and knows none of that name.
        if rest.starts_with("postgresql://") || rest.starts_with("postgres://") {
            return Err(ConninfoError::Uri);
        }
        let mut pairs = Vec::new();
        while !rest.is_empty() {
            let at = text.len().saturating_sub(rest.len());
            let end = rest.find(|c| c == '=' || is_blank(c)).unwrap_or(rest.len());
            let (keyword, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let value = behind
                .trim_start_matches(is_blank)
                .strip_prefix('=')
                .ok_or(ConninfoError::NoEquals(at))?
                .trim_start_matches(is_blank);
            if keyword.is_empty() {
                return Err(ConninfoError::NoKeyword(at));
            }
            let (value, behind) = match value.strip_prefix('\'') {
                Some(quoted) => take_quoted(quoted)?,
                None => take_plain(value),
            };
            pairs.push((keyword.to_owned(), value));
            rest = behind.trim_start_matches(is_blank);
        }
        Ok(Self(pairs))
    }

    /// The value of a keyword; the last one, if it is repeated.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.iter().rev().find(|(found, _)| found == keyword).map(|(_, value)| value.as_str())
    }

    /// Sets a keyword: in its first place if it has one, else at the end. Repetitions are removed.
    pub fn set(&mut self, keyword: &str, value: &str) {
        match self.0.iter().position(|(found, _)| found == keyword) {
            Some(first) => {
                let mut index = 0;
                self.0.retain_mut(|(found, old)| {
                    let keep = found != keyword || index == first;
                    if index == first {
                        value.clone_into(old);
                    }
                    index += 1;
                    keep
                });
            }
            None => self.0.push((keyword.to_owned(), value.to_owned())),
        }
    }

    /// The same with a keyword set.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: &str) -> Self {
        self.set(keyword, value);
        self
    }

    /// Takes over how a login is made by another string: encryption and the like, but no address and
    /// no secret, for a program's arguments are seen by everybody on its machine.
    pub fn log_in_like(&mut self, other: &Self) {
        for keyword in OF_A_LOGIN {
            if let Some(value) = other.get(keyword) {
                self.set(keyword, value);
            }
        }
    }

    /// Removes a keyword.
    pub fn remove(&mut self, keyword: &str) {
        self.0.retain(|(found, _)| found != keyword);
    }

    /// Keywords and values in their order, secrets included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(keyword, value)| (keyword.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both mean the same to libpq: order and repeated keywords do not count.
    pub fn same_meaning(&self, other: &Self) -> bool {
        // The last value of each: a text may hold a great many, and is not ours.
        let last = |info: &Self| info.0.iter().cloned().collect::<BTreeMap<_, _>>();
        last(self) == last(other)
    }

    /// The whole string for libpq, secrets included: for files of mode 0600 only, never for a log
    /// or an argument of a program.
    pub fn to_text(&self) -> String {
        self.written(|_, value| value)
    }

    fn written<'a>(&'a self, shown: impl Fn(&'a str, &'a str) -> &'a str) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(keyword, value)| format!("{keyword}={}", quote(shown(keyword, value))))
            .collect();
        pairs.join(" ")
    }
}

impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(|key, value| if SECRETS.contains(&key) { "****" } else { value }))
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conninfo({self})")
    }
}

/// White space in libpq's eyes.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn quote(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c| is_blank(c) || c == '\'' || c == '\\') {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Behind the opening quote: the value, and what follows the closing quote.
fn take_quoted(text: &str) -> Result<(String, &str), ConninfoError> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().ok_or(ConninfoError::NoEnd)? {
            '\'' => return Ok((value, chars.as_str())),
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
}

fn take_plain(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if is_blank(c) => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    (value, chars.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        Conninfo::parse(text).unwrap().0
    }

    #[test]
    fn it_is_read_the_way_libpq_reads_it() {
        for (text, expected) in [
            ("", &[][..]),
            ("  \t", &[]),
            ("host=n1", &[("host", "n1")]),
            ("host = n1  port\t=\t5432 ", &[("host", "n1"), ("port", "5432")]),
            ("host='n 1' port=1", &[("host", "n 1"), ("port", "1")]),
            ("a='x'b='y'", &[("a", "x"), ("b", "y")]),
            (r"a='it\'s \\ \x' b=i\'s\ one", &[("a", r"it's \ x"), ("b", "i's one")]),
            ("a='' b=1", &[("a", ""), ("b", "1")]),
            ("a=", &[("a", "")]),
            ("a= b=1", &[("a", "b=1")]),
            ("a=x=y", &[("a", "x=y")]),
            ("a=x'y'", &[("a", "x'y'")]),
            ("options='-c geqo=off -c x\\\\ y'", &[("options", r"-c geqo=off -c x\ y")]),
            ("a=1 a=2", &[("a", "1"), ("a", "2")]),
            (r"a=x\", &[("a", "x")]),
            ("é=ü", &[("é", "ü")]),
        ] {
            let expected: Vec<(String, String)> =
                expected.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            assert_eq!(pairs(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_strings_are_errors_that_do_not_quote_them() {
        for (text, expected) in [
            ("host", ConninfoError::NoEquals(0)),
            ("a=1 secret", ConninfoError::NoEquals(4)),
            ("password=my secret words", ConninfoError::NoEquals(12)),
            ("=x", ConninfoError::NoKeyword(0)),
            ("a=1 = 2", ConninfoError::NoKeyword(4)),
            ("a='secret", ConninfoError::NoEnd),
            (r"a='secret\'", ConninfoError::NoEnd),
            (r"a='secret\", ConninfoError::NoEnd),
            ("postgresql://u:secret@h/", ConninfoError::Uri),
            ("postgres://h", ConninfoError::Uri),
            ("\r\n postgresql://h=c port=1", ConninfoError::Uri),
        ] {
            let error = Conninfo::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn any_value_survives_writing_and_reading() {
        for value in ["", "x", "a b", "'", "\\", "\\'", "it's\\", "a=b", "\n\t", "é ü", "''"] {
            let ours = Conninfo::new().with("host", "n1").with("k", value).with("port", "1");
            let read = Conninfo::parse(&ours.to_text()).unwrap();
            assert_eq!(read, ours, "{}", ours.to_text());
            assert_eq!(read.get("k"), Some(value));
        }
        assert_eq!(
            Conninfo::new().with("host", "n1").with("application_name", "a b").to_text(),
            "host=n1 application_name='a b'"
        );
    }

    #[test]
    fn setting_keeps_the_order_and_the_last_repetition_wins() {
        let mut info = Conninfo::parse("a=1 b=2 a=3 c=4").unwrap();
        assert_eq!(info.get("a"), Some("3"));
        assert_eq!(info.get("x"), None);
        info.set("a", "9");
        info.set("d", "5");
        assert_eq!(info.to_text(), "a=9 b=2 c=4 d=5");
        info.remove("b");
        assert_eq!(info.to_text(), "a=9 c=4 d=5");
        let other = Conninfo::parse("c=0 d=5 a=9 c=4").unwrap();
        assert!(info.same_meaning(&other) && other.same_meaning(&info));
        assert!(!info.same_meaning(&Conninfo::parse("a=9 c=4").unwrap()));
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let info = Conninfo::parse(
            "host=n1 password='geheim 1' sslpassword=geheim2 oauth_client_secret=geheim3 \
             scram_client_key=geheim4 scram_server_key=geheim5 passfile=/x",
        )
        .unwrap();
        let shown = format!("{info} {info:?}");
        assert!(!shown.contains("geheim"), "{shown}");
        assert!(shown.contains("host=n1 password=****") && shown.contains("passfile=/x"));
        assert_eq!(info.get("password"), Some("geheim 1"));
        assert!(info.to_text().contains("password='geheim 1'"));
    }

    #[test]
    fn a_login_like_another_has_its_encryption_and_neither_its_address_nor_its_secrets() {
        let like = "host=n9 port=1 user=x password=geheim sslpassword=geheim passfile=/y options=-c \
                    application_name=n2 sslmode=verify-full sslrootcert='/a b' sslmode=verify-ca";
        let mut conninfo = Conninfo::parse("host=n1 sslmode=prefer").unwrap();
        conninfo.log_in_like(&Conninfo::parse(like).unwrap());
        assert_eq!(conninfo.to_text(), "host=n1 sslmode=verify-ca sslrootcert='/a b'");
        conninfo.log_in_like(&Conninfo::new());
        assert!(!conninfo.is_empty() && Conninfo::new().is_empty());
    }
}
