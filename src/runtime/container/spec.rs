//! What the parameters say of the container. Floor 2.

use std::path::PathBuf;

use crate::decide::image::{NoImage, Wanted, wanted};
use crate::ocf::params::{ContainerRuntime, Params};

/// The parameters of a container, as its command needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// By which engine.
    pub runtime: ContainerRuntime,
    /// The image, or by what it is chosen.
    pub wanted: Result<Wanted, NoImage>,
    /// The major version that it is to hold, if one is named.
    pub major: Option<u32>,
    /// Its network.
    pub network: String,
    /// Its limit of memory.
    pub memory: Option<String>,
    /// Its limit of CPUs.
    pub cpus: Option<String>,
    /// The size of its /dev/shm.
    pub shm_size: String,
    /// More arguments.
    pub options: Vec<String>,
    /// Whether directories get a SELinux label of its own.
    pub relabel: bool,
    /// The passfile that a parameter names.
    pub passfile: Option<PathBuf>,
}

impl Spec {
    /// As the parameters say; none: they ask for no container.
    pub fn asked(params: &Params) -> Option<Self> {
        params.container_mode.then(|| Self::of(params))
    }

    /// As the parameters say.
    pub fn of(params: &Params) -> Self {
        Self {
            name: params.container_name.clone(),
            runtime: params.container_runtime,
            wanted: wanted(params),
            major: params.pg_major_version,
            network: params.container_network.clone(),
            memory: params.container_memory.clone(),
            cpus: params.container_cpus.clone(),
            shm_size: params.container_shm_size.clone(),
            options: params.container_options.clone(),
            relabel: params.container_selinux_relabel,
            passfile: params.pgpassfile.as_ref().map(PathBuf::from),
        }
    }

    /// The server's limits, and how it is asked to end by others than the agent: by a fast shutdown, for which
    /// it has a minute.
    pub fn limits(&self) -> Vec<String> {
        let mut args =
            vec![format!("--shm-size={}", self.shm_size), "--stop-signal=SIGINT".to_owned()];
        if !self.options.iter().any(|option| option.starts_with("--stop-timeout=")) {
            args.push("--stop-timeout=60".to_owned());
        }
        args.extend(self.memory.as_ref().map(|size| format!("--memory={size}")));
        args.extend(self.cpus.as_ref().map(|cpus| format!("--cpus={cpus}")));
        args
    }

    /// What leads from the host's port to the server in a network of the engine's.
    pub fn ports(&self, port: u16) -> Option<String> {
        (self.network != "host").then(|| format!("--publish={port}:{port}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_servers_and_the_port_leads_into_other_networks() {
        let spec = Spec::of(&Params::default());
        assert_eq!(spec.limits(), ["--shm-size=1g", "--stop-signal=SIGINT", "--stop-timeout=60"]);
        assert_eq!(spec.ports(5433), None);
        let spec = Spec {
            memory: Some("4g".into()),
            cpus: Some("1.5".into()),
            network: "pg".into(),
            options: vec!["--stop-timeout=5".into()],
            ..spec
        };
        assert_eq!(
            spec.limits(),
            ["--shm-size=1g", "--stop-signal=SIGINT", "--memory=4g", "--cpus=1.5"]
        );
        assert_eq!(spec.ports(5433).as_deref(), Some("--publish=5433:5433"));
    }
}
