//! What has to stand on the nodes before the cluster takes over: PostgreSQL's configuration, the lines of
//! pg_hba.conf and of the passfile, the role. Floor 1.

use super::{Form, Plan};
use crate::decide::source::identifier;
use crate::decide::wanted;
use crate::ocf::params::Params;
use crate::postgres::copy_tools::REWIND_GRANTS;
use crate::postgres::{hba, pgpass};

/// A part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Lines of postgresql.conf.
    Conf,
    /// Lines of pg_hba.conf.
    Hba,
    /// Lines of the passfile.
    Passfile,
    /// Statements that make the role.
    Role,
    /// Commands that keep the distribution from starting PostgreSQL.
    Service,
    /// The cluster's configuration.
    Cluster,
}

impl Part {
    /// All, in the order in which they are done.
    pub const ALL: [Self; 6] =
        [Self::Conf, Self::Hba, Self::Passfile, Self::Role, Self::Service, Self::Cluster];

    /// By which it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conf => "conf",
            Self::Hba => "hba",
            Self::Passfile => "passfile",
            Self::Role => "role",
            Self::Service => "service",
            Self::Cluster => "cluster",
        }
    }
}

impl Plan {
    /// The parameters, resolved.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The role by which standbys log in.
    pub fn role(&self) -> &str {
        self.user()
    }

    fn user(&self) -> &str {
        self.params.repuser.as_deref().unwrap_or(wanted::REPLICATION_ROLE)
    }

    fn conf_file(&self) -> String {
        let inside = || format!("{}/postgresql.conf", self.params.pgdata);
        self.params.config_file.clone().unwrap_or_else(inside)
    }

    fn hba_file(&self) -> String {
        let conf = self.conf_file();
        let dir = conf.rsplit_once('/').map_or("", |(dir, _)| dir);
        format!("{dir}/pg_hba.conf")
    }

    pub(super) fn head(&self) -> String {
        let nodes: Vec<&str> = self.nodes.iter().map(|(node, _)| node.as_str()).collect();
        let two = match self.nodes.as_slice() {
            [_, _] => "# Two nodes need two_node: 1 in the section quorum of corosync.conf.\n",
            _ => "",
        };
        format!(
            "# {} on {}, as pgtwin setup suggests it.\n\
             # Words in capitals are yours to fill in. Fencing has to work before you rely on\n\
             # any of it: try each device. Afterwards, on every node: pgtwin doctor\n{two}",
            self.resource,
            nodes.join(", ")
        )
    }

    pub(super) fn title(&self, part: Part, form: Form) -> String {
        match part {
            Part::Conf => format!("On every node, in {}", self.conf_file()),
            Part::Hba => format!("On every node, in {}, before its other lines", self.hba_file()),
            Part::Passfile => {
                let home = || "~/.pgpass of the PostgreSQL user".to_owned();
                let file = self.params.pgpassfile.clone().unwrap_or_else(home);
                format!(
                    "On every node, in {file}, owned by {} and of mode 0600",
                    self.params.pguser
                )
            }
            Part::Role => {
                format!("On the primary, as {} in psql", self.params.pguser)
            }
            Part::Service => "On every node, as root: Pacemaker alone starts PostgreSQL".to_owned(),
            Part::Cluster => match form {
                Form::Crmsh | Form::Pcs => "Once, on one node, as root".to_owned(),
                Form::Xml => "The configuration of the cluster".to_owned(),
            },
        }
    }

    pub(super) fn of_servers(&self, part: Part) -> String {
        let lines: Vec<String> = match part {
            Part::Conf => {
                let line = |one: &wanted::ServerSetting| {
                    format!("{:<27} # {}", format!("{} = {}", one.name, one.value), one.why)
                };
                wanted::SERVER.iter().map(line).collect()
            }
            Part::Hba => self.hba_lines(),
            Part::Passfile => self.passfile_lines(),
            Part::Role => self.statements(),
            Part::Service => self.service(),
            Part::Cluster => Vec::new(),
        };
        lines.iter().map(|line| format!("{line}\n")).collect::<Vec<_>>().concat()
    }

    fn hba_lines(&self) -> Vec<String> {
        let mut lines = vec![
            hba::local_line("all", &self.params.pguser),
            hba::local_line("replication", &self.params.pguser),
        ];
        for (_, address) in &self.nodes {
            for database in ["replication", "postgres"] {
                lines.push(hba::line(database, self.user(), address));
            }
        }
        lines
    }

    fn passfile_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (_, address) in &self.nodes {
            for database in ["replication", "postgres"] {
                lines.push(pgpass::line(address, self.params.pgport, database, self.user()));
            }
        }
        lines
    }

    fn statements(&self) -> Vec<String> {
        let user = identifier(self.user());
        let mut lines = vec![
            "SET password_encryption = 'scram-sha-256';".to_owned(),
            format!("CREATE ROLE {user} LOGIN REPLICATION;"),
            format!("\\password {user}"),
        ];
        lines.extend(REWIND_GRANTS.iter().map(|grant| {
            let grant = grant.replacen(" ON ", "\n  ON ", 1);
            format!("GRANT {grant}\n  TO {user};")
        }));
        lines
    }

    fn service(&self) -> Vec<String> {
        let debian = self.params.config_file.as_deref().and_then(|file| {
            file.strip_prefix("/etc/postgresql/")?.strip_suffix("/postgresql.conf")
        });
        let mut lines = vec!["systemctl disable --now postgresql".to_owned()];
        if let Some(cluster) = debian {
            lines.push(format!("echo disabled > /etc/postgresql/{cluster}/start.conf"));
        }
        lines
    }
}
