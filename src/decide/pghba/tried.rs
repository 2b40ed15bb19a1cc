//! What a standby's own logins at its primary came to, and the whole report. Floor 1.

use std::fmt;

use serde::Serialize;

use super::{Access, Check};
use crate::decide::report::wrapped;
use crate::decide::source::{Answer, Login, Server, Source};

/// What one login came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Whether it was let in.
    pub access: Access,
    /// What was found.
    pub why: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// Both logins at a primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tries {
    /// Its node.
    pub node: String,
    /// Where it was asked.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The login of a walreceiver.
    pub replication: Tried,
    /// The login of pg_rewind.
    pub pg_rewind: Tried,
}

/// All of `pgtwin validate-pghba`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Of this shape.
    pub version: u32,
    /// Whose shape this is.
    pub command: &'static str,
    /// Whether nothing is missing that a failover needs.
    pub ok: bool,
    /// This node.
    pub node: String,
    /// The resource, in a cluster.
    pub resource: Option<String>,
    /// `primary` or `standby`.
    pub role: &'static str,
    /// Of a standby: its logins at the primary.
    pub primary: Option<Tries>,
    /// Of a standby: why there are none.
    pub primary_unknown: Option<String>,
    /// Its own file.
    #[serde(flatten)]
    pub check: Check,
}

impl Report {
    /// Of the current shape.
    pub const VERSION: u32 = 1;
    /// The command.
    pub const COMMAND: &str = "validate-pghba";

    /// Whether nothing is missing that a failover needs.
    pub fn is_well(&self) -> bool {
        let came_in = |tries: &Tries| {
            [&tries.replication, &tries.pg_rewind].iter().all(|t| t.access == Access::Yes)
        };
        self.check.is_well()
            && self.primary_unknown.is_none()
            && self.primary.as_ref().is_none_or(came_in)
    }
}

/// Tells what the answers mean.
#[must_use]
pub fn tries(server: &Server, source: &Source) -> Tries {
    let replication = match &source.replication {
        Answer::In(sender) if !sender.primary => Tried {
            access: Access::Unknown,
            why: format!("{} lets it in, and is no primary", server.node),
            remedy: Some("look at pgtwin status".to_owned()),
        },
        answer => tried(server, Login::Replication, answer),
    };
    Tries {
        node: server.node.clone(),
        host: server.host.clone(),
        port: server.port,
        replication,
        pg_rewind: tried(server, Login::Postgres, &source.postgres),
    }
}

fn tried<T>(server: &Server, login: Login, answer: &Answer<T>) -> Tried {
    let (access, advice) = match answer {
        Answer::In(_) => {
            return Tried { access: Access::Yes, why: "it came in".to_owned(), remedy: None };
        }
        Answer::NotLetIn(refusal) => (Access::No, server.not_let_in(login, refusal)),
        Answer::Silent(silence) => (Access::Unknown, server.silent(silence)),
        Answer::Unknown(words) => {
            return Tried { access: Access::Unknown, why: words.clone(), remedy: None };
        }
    };
    Tried { access, why: advice.reason, remedy: Some(advice.remedy) }
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This node's logins at {} ({} port {}):", self.node, self.host, self.port)?;
        for (login, tried) in [("replication", &self.replication), ("pg_rewind", &self.pg_rewind)] {
            let sign = match tried.access {
                Access::Yes => "✓",
                Access::No => "✗",
                Access::Unknown => "?",
            };
            let remedy = tried.remedy.as_ref().map(|words| format!(": {words}"));
            let words = format!("{}{}", tried.why, remedy.unwrap_or_default());
            writeln!(f, "{}", wrapped(&format!("{sign} {login:11}  {words}"), 15))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tries) = &self.primary {
            writeln!(f, "{tries}")?;
        }
        if let Some(why) = &self.primary_unknown {
            writeln!(f, "{}\n", wrapped(&format!("? no primary was asked: {why}"), 2))?;
        }
        let then = if self.check.primary { "" } else { ", once it is the primary" };
        let title = format!(
            "Who comes in on {} ({}){then} as {}, by {}:",
            self.node, self.role, self.check.user, self.check.file
        );
        writeln!(f, "{}", wrapped(&title, 2))?;
        write!(f, "{}", self.check)
    }
}
