//! Which resource a command is about, and with which parameters. Floor 4.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;

use super::{End, ask};
use crate::agent::operate::Subject;
use crate::agent::pghba::Which;
use crate::ocf::params::{ENV_PREFIX, TABLE};
use crate::sys::exec::System;

/// The options for it.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
    /// A parameter that the cluster's configuration has otherwise, or not; OCF_RESKEY_NAME in the
    /// environment does the same
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<Override>,
}

/// A parameter and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    name: &'static str,
    value: String,
}

/// A text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum NotAnOverride {
    #[error("NAME=VALUE is wanted, as in pgport=5433")]
    NoValue,
    #[error("there is no parameter {0:?}; docs/parameters.md and pgtwin meta-data list them")]
    NoParameter(String),
}

impl FromStr for Override {
    type Err = NotAnOverride;

    fn from_str(text: &str) -> Result<Self, NotAnOverride> {
        let (name, value) = text.split_once('=').ok_or(NotAnOverride::NoValue)?;
        let spec = TABLE.iter().find(|spec| spec.name == name);
        let spec =
            spec.ok_or_else(|| NotAnOverride::NoParameter(name.chars().take(60).collect()))?;
        Ok(Self { name: spec.name, value: value.to_owned() })
    }
}

impl Target {
    /// Finds it in the cluster, or says why not.
    pub(super) fn find(&self) -> Result<Subject, End> {
        Subject::find_with(&System, self.resource.as_deref(), &self.overrides())
            .map_err(|error| ask::refused(&error))
    }

    /// What was said, for a command that may do without a cluster.
    pub(super) fn which(&self) -> Which {
        Which { resource: self.resource.clone(), params: self.overrides() }
    }

    /// Parameters of the environment, and of the options, which win.
    fn overrides(&self) -> BTreeMap<String, String> {
        let of_environment = TABLE.iter().filter_map(|spec| {
            let value = std::env::var(format!("{ENV_PREFIX}{}", spec.name)).ok()?;
            Some((spec.name.to_owned(), value))
        });
        let of_options = self.params.iter().map(|one| (one.name.to_owned(), one.value.clone()));
        of_environment.chain(of_options).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_override_names_a_parameter_there_is() {
        let parse = str::parse::<Override>;
        assert_eq!(
            parse("pgport=5433").unwrap(),
            Override { name: "pgport", value: "5433".into() }
        );
        // A value may have the sign in it, or be none.
        assert_eq!(parse("node_addresses=n1=10.0.0.1").unwrap().value, "n1=10.0.0.1");
        assert_eq!(parse("vip=").unwrap().value, "");
        for (text, words) in [
            ("pgport", "NAME=VALUE is wanted"),
            ("", "NAME=VALUE is wanted"),
            ("pgprot=1", "there is no parameter \"pgprot\""),
            ("=1", "there is no parameter \"\""),
            ("PGPORT=1", "there is no parameter \"PGPORT\""),
        ] {
            assert!(parse(text).unwrap_err().to_string().contains(words), "{text}");
        }
    }
}
