//! Which resource a command is about, and parameters that a person gives it. Floor 4.

use std::collections::BTreeMap;

use clap::Args;

use crate::agent::pghba;
use crate::ocf::params::{ENV_PREFIX, TABLE};

/// What pgtwin is asked about.
#[derive(Clone, Debug, Args)]
pub(super) struct Which {
    /// The primitive, when several use pgtwin
    #[arg(long, value_name = "RSC")]
    resource: Option<String>,
    /// A parameter, instead of the cluster's; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    param: Vec<(String, String)>,
}

impl Which {
    /// With what the environment has in OCF_RESKEY_*; the command line counts before it.
    pub(super) fn with_environment(&self) -> pghba::Which {
        let known = |name: &str| TABLE.iter().any(|spec| spec.name == name);
        let of_environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(ENV_PREFIX)?.to_owned();
            known(&name).then(|| (name, value.to_string_lossy().into_owned()))
        });
        let mut params: BTreeMap<String, String> = of_environment.collect();
        params.extend(self.param.iter().cloned());
        pghba::Which { resource: self.resource.clone(), params }
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if !TABLE.iter().any(|spec| spec.name == name) {
        return Err(format!("{name:?} is no parameter of pgtwin"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
