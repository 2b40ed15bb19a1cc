//! corosync.conf, as far as quorum goes, and how long it takes to notice a loss. Floor 0.
//!
//! Source: corosync.conf(5) and votequorum(5). The file is what the cluster starts with; what was
//! changed while it runs is not in it.

use std::time::Duration;

/// What it says about quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corosync {
    /// `quorum.provider`; without one every partition decides for itself.
    pub provider: Option<String>,
    /// `quorum.two_node`.
    pub two_node: bool,
    /// `quorum.wait_for_all`, which two_node implies where it is not set.
    pub wait_for_all: Option<bool>,
    /// `quorum.device.model`.
    pub device: Option<String>,
    /// How many nodes `nodelist` has.
    pub nodes: usize,
    /// `totem.token`, in milliseconds.
    pub token: Option<u32>,
    /// `totem.token_coefficient`, likewise, for each node beyond two.
    pub coefficient: Option<u32>,
    /// `totem.consensus`, likewise.
    pub consensus: Option<u32>,
}

/// Why a text is no corosync.conf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of corosync.conf is not understood: {why}")]
pub struct NotCorosync {
    line: usize,
    why: &'static str,
}

/// No honest one is nested deeper.
const DEEPEST: usize = 16;

impl Corosync {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, NotCorosync> {
        let mut found = Self::default();
        let mut path: Vec<String> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let bad = |why| NotCorosync { line: index + 1, why };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_suffix('{') {
                if path.len() == DEEPEST {
                    return Err(bad("its sections are nested too deep"));
                }
                path.push(name.trim().to_owned());
                found.nodes += usize::from(path == ["nodelist", "node"]);
            } else if line.ends_with('}') {
                path.pop().ok_or_else(|| bad("a section ends that never began"))?;
            } else if let Some((name, value)) = line.split_once(':') {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                found.take(&path, name.trim(), value.trim());
            } else {
                return Err(bad("it is no section and no setting"));
            }
        }
        if path.is_empty() {
            return Ok(found);
        }
        Err(NotCorosync { line: text.lines().count(), why: "a section has no end" })
    }

    fn take(&mut self, path: &[&str], name: &str, value: &str) {
        let on = || value.parse::<u64>().is_ok_and(|value| value > 0);
        match (path, name) {
            (["quorum"], "provider") => self.provider = Some(value.to_owned()),
            (["quorum"], "two_node") => self.two_node = on(),
            (["quorum"], "wait_for_all") => self.wait_for_all = Some(on()),
            (["quorum", "device"], "model") => self.device = Some(value.to_owned()),
            (["totem"], "token") => self.token = value.parse().ok(),
            (["totem"], "token_coefficient") => self.coefficient = value.parse().ok(),
            (["totem"], "consensus") => self.consensus = value.parse().ok(),
            (_, _) => {}
        }
    }

    /// How long a membership of so many nodes may last that does not hold any more: until the token is lost,
    /// and all have agreed on another one.
    pub fn notices_within(&self, nodes: usize) -> Duration {
        let beyond_two = u32::try_from(nodes.saturating_sub(2)).unwrap_or(u32::MAX);
        let more = self.coefficient.unwrap_or(650).saturating_mul(beyond_two);
        let token = self.token.unwrap_or(3_000).saturating_add(more);
        let consensus = self.consensus.unwrap_or(token.saturating_add(token / 5));
        Duration::from_millis(u64::from(token) + u64::from(consensus))
    }

    /// Whether nodes that boot wait until all were seen once.
    pub fn waits_for_all(&self) -> bool {
        self.wait_for_all.unwrap_or(self.two_node)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TWO: &str = "# made by hand\ntotem {\n  version: 2\n  interface {\n    linknumber: 0\n  }\n}\n\
        quorum {\n  provider: corosync_votequorum\n  two_node: 1\n}\nnodelist {\n  node {\n    \
        ring0_addr: 10.0.0.11\n    name: n1\n  }\n  node {\n    ring0_addr: 10.0.0.12\n  }\n}\n";

    #[test]
    fn what_matters_for_quorum_is_read() {
        let found = Corosync::parse(TWO).unwrap();
        let provider = Some("corosync_votequorum".to_owned());
        let expected = Corosync { provider, two_node: true, nodes: 2, ..Corosync::default() };
        assert_eq!(found, expected);
        assert!(found.waits_for_all());
        let all = Corosync::parse(&TWO.replace("two_node: 1", "two_node: 1\nwait_for_all: 0"));
        assert!(!all.unwrap().waits_for_all());
        let device = "two_node: 0\n  device {\n    model: net\n    net {\n host: q\n }\n  }";
        let device = Corosync::parse(&TWO.replace("two_node: 1", device)).unwrap();
        assert_eq!((device.device.as_deref(), device.two_node), (Some("net"), false));
        assert!(!device.waits_for_all());
        // In another section it means nothing.
        let other = Corosync::parse(&TWO.replace("version: 2", "two_node: 1\n version: 2"));
        assert!(other.unwrap().two_node);
        assert!(!Corosync::parse("totem {\n two_node: 1\n}\n").unwrap().two_node);
        assert_eq!(Corosync::parse("").unwrap(), Corosync::default());
    }

    #[test]
    fn a_loss_is_noticed_after_the_token_and_the_consensus() {
        let within = |totem: &str, nodes| {
            let text = TWO.replace("version: 2", &format!("version: 2\n  {totem}"));
            Corosync::parse(&text).unwrap().notices_within(nodes).as_millis()
        };
        for (totem, nodes, expected) in [
            ("secauth: on", 2, 6_600),
            ("secauth: on", 1, 6_600),
            ("secauth: on", 4, 9_460),
            ("token: 1000", 2, 2_200),
            ("token: 1000\n  token_coefficient: 0", 3, 2_200),
            ("token: 1000\n  consensus: 5000", 2, 6_000),
            ("token: rubbish", 2, 6_600),
            ("token: 4294967295", 99, 8_589_934_590),
        ] {
            assert_eq!(within(totem, nodes), expected, "{totem}, {nodes} nodes");
        }
    }

    #[test]
    fn what_is_no_whole_file_is_an_error() {
        let deep = "a {\n".repeat(20);
        for text in ["quorum {\n", "}\n", "quorum {\n rubbish\n}\n", &deep] {
            assert!(Corosync::parse(text).is_err(), "{text}");
        }
    }
}
