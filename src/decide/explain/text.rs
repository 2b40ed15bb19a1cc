//! The explanation as text of 80 columns. Floor 1.

use std::fmt;

use super::{Explanation, Verdict, Writes};
use crate::decide::report::{any_of, enumerate, wrapped};

impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Need(nodes) if nodes.is_empty() => {
                f.write_str("they go on, and wait for no standby")
            }
            Self::Need(nodes) => write!(f, "they go on, and need {}", any_of(nodes)),
            Self::Wait(why) => f.write_str(why),
            Self::Nobody => f.write_str("nobody takes any: there is no primary"),
            Self::Unknown(why) => write!(f, "?: {why}"),
        }
    }
}

impl Explanation {
    /// What was asked, and the answer to it.
    pub fn headline(&self) -> String {
        let then = any_of(&self.then);
        let lost = enumerate(&self.dead, "and");
        match (&self.primary, self.then.is_empty()) {
            _ if self.primary.is_some() && self.then.iter().next() == self.primary.as_ref() => {
                format!("if {lost} were lost now, {then} would stay the primary")
            }
            (Some(primary), false) if self.assumed => {
                format!("{primary} is the primary; if it were lost now, {then} would be promoted")
            }
            (Some(primary), true) if self.assumed => {
                format!("{primary} is the primary; if it were lost now, nobody would be promoted")
            }
            (Some(_), _) => format!("if {lost} were lost now, {then} would be promoted"),
            (None, _) if self.dead.is_empty() => {
                format!("there is no primary; {then} would be promoted now")
            }
            (None, _) => {
                format!("there is no primary; if {lost} were lost too, {then} would be promoted")
            }
        }
    }
}

impl Verdict {
    /// In one word, for the table and for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Dead => "lost",
            Self::Promoted => "promoted",
            Self::Permitted => "permitted",
            Self::Next => "next",
            Self::Refused(_) => "refused",
        }
    }

    fn answer(&self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Dead => "lost",
            Self::Promoted => "YES",
            Self::Permitted => "yes",
            Self::Next => "next",
            Self::Refused(_) => "no",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("{}: {}, as seen from {}", self.resource, self.headline(), self.me);
        writeln!(f, "{}\n", wrapped(&title, 0))?;
        let names = self.members.keys().map(|node| node.as_str().chars().count()).max();
        // A long name leaves the words a place all the same.
        let names = names.unwrap_or(0).clamp(4, 24);
        writeln!(f, "{:names$}  PROMOTE  WHY", "NODE")?;
        for (node, verdict) in &self.members {
            let why = self.reasons(node).join("; ");
            let (node, answer) = (node.as_str(), verdict.answer());
            writeln!(f, "{}", wrapped(&format!("{node:names$}  {answer:7}  {why}"), names + 11))?;
        }
        for (title, lines) in [
            ("Nobody is promoted:", self.blocked.clone()),
            ("Writes:", self.writes()),
            ("This supposes:", self.notes.clone()),
        ] {
            if !lines.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for line in lines {
                writeln!(f, "{}", wrapped(&format!("- {line}"), 2))?;
            }
        }
        Ok(())
    }
}

impl Explanation {
    fn writes(&self) -> Vec<String> {
        let mut lines = vec![format!("now: {}", self.now)];
        if !self.dead.is_empty() || self.now != self.after {
            lines.push(match &self.after {
                Writes::Need(nodes) if self.then.len() > 1 && !nodes.is_empty() => {
                    "then: they go on, and need another of them".to_owned()
                }
                after => format!("then: {after}"),
            });
        }
        lines
    }
}
