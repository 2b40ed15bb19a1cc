//! The program as an operator runs it, on a node without a cluster: parameters say what it would.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use pgtwin::runtime::instance::Postgres;
use pgtwin::sys::exec::{Cmd, Exec, System};
use serde_json::Value;

use crate::from::port_of;
use crate::place::{LONG, Place, await_primary, soon, sql};

/// What a new file has: the agent's own way in.
pub const PEER: &str = "local all all peer\nlocal replication all peer\n";

/// This node's instance, a primary that n2 and n3 are to come to.
pub struct Node<'a> {
    pub place: &'a Place,
    pub pg: Postgres<'static>,
    pub name: &'static str,
    pub port: u16,
    /// The parameter repuser.
    pub user: Option<&'static str>,
    /// Parameters besides those of every test.
    pub more: Vec<String>,
}

/// How a call ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Ended so, and said this.
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        let all = format!("{}{}", self.stdout, self.stderr);
        // As a person reads it, whichever way the lines are broken.
        let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(all.contains(words), "{words:?} is not in {all}");
        }
        self
    }
}

pub fn host_name() -> String {
    nix::unistd::gethostname().unwrap().to_string_lossy().into_owned()
}

impl<'a> Node<'a> {
    /// n1 with TLS off, the role of the replication, and this pg_hba.conf.
    pub fn new(place: &'a Place, hba: &str) -> Self {
        let (pg, port) = place.initdb("n1");
        let conf = place.path("n1/postgresql.conf");
        place.append(&conf, "listen_addresses = '127.0.0.1, ::1'\n");
        pg.start(&soon()).unwrap();
        await_primary(&pg);
        sql(&pg, "CREATE ROLE repl REPLICATION LOGIN PASSWORD 'right'");
        let node = Self { place, pg, name: "n1", port, user: Some("repl"), more: Vec::new() };
        node.write_hba(hba);
        node
    }

    pub fn hba(&self) -> PathBuf {
        self.place.path(self.name).join("pg_hba.conf")
    }

    pub fn read_hba(&self) -> String {
        fs::read_to_string(self.hba()).unwrap()
    }

    pub fn write_hba(&self, text: &str) {
        self.place.write(&self.hba(), text, 0o600);
        self.pg.reload_and_see(&soon()).unwrap();
    }

    /// Runs one of the two commands.
    pub fn run(&self, word: &str, args: &[&str]) -> Said {
        let me = host_name();
        let mut params = vec![
            format!("pgdata={}", self.place.path(self.name).display()),
            format!("pgport={}", self.port),
            format!("pguser={}", self.place.user.name),
            format!("pg_bindir={}", self.place.bindir.display()),
            format!("node_list={me} n2 n3"),
            format!("node_addresses={me}=127.0.0.1 n2=127.0.0.2 n3=::1"),
        ];
        params.extend(self.user.map(|user| format!("repuser={user}")));
        params.extend(self.more.iter().cloned());
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgtwin"));
        command.arg(word).args(args).env_clear().env("PATH", "/usr/bin:/bin");
        for param in params {
            command.arg("--param").arg(param);
        }
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }

    pub fn validate(&self) -> Said {
        self.run("validate-pghba", &[])
    }

    pub fn fix(&self) -> Said {
        self.run("fix-pghba", &["--yes"])
    }

    /// Whether lines of the file that is loaded let the role in from there, for both logins.
    pub fn comes_in(&self, from: &str) -> [bool; 2] {
        let port = port_of(from.parse::<IpAddr>().unwrap(), self.port);
        ["postgres replication=true", "postgres"].map(|database| {
            let info = format!("host=127.0.0.1 port={port} user=repl dbname={database}");
            let psql = Cmd::new("psql").args(["-X", "-w", "-c", "SHOW port", "-d", &info]);
            let output = System.run(&psql.env("LC_ALL", "C").limit(LONG)).unwrap();
            let out = ["no pg_hba.conf entry", "pg_hba.conf rejects"];
            let asked = output.stderr.contains("no password supplied");
            let kept_out = out.iter().any(|words| output.stderr.contains(words));
            assert!(output.ok() || asked || kept_out, "{output:?}");
            !kept_out
        })
    }
}
