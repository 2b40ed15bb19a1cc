//! A new container, as a value and as the command line that starts it. Floor 2.
//!
//! Whatever is started here has no capability, cannot gain privileges, has no terminal, and is never
//! pulled for. What must not be is left out of this type, so that nobody can ask for it.

use super::Engine;
use crate::sys::exec::Cmd;

/// A directory or file of the host that is at the same path inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bind {
    /// Where it is, on the host and inside; it has to exist.
    pub path: String,
    /// Another path inside.
    pub inside: Option<String>,
    /// It cannot be changed from inside.
    pub read_only: bool,
    /// It gets a SELinux label of this container's own.
    pub relabel: bool,
}

impl Bind {
    /// At the same path, writable.
    pub fn of(path: impl Into<String>) -> Self {
        Self { path: path.into(), inside: None, read_only: false, relabel: false }
    }

    /// The same, not to be changed from inside.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// As an argument. `--volume`, unlike `--mount`, can relabel; but it has a colon between its parts, and
    /// docker makes a directory of what is missing.
    fn args(&self) -> [String; 2] {
        let inside = self.inside.as_ref().unwrap_or(&self.path);
        if self.relabel {
            let mode = if self.read_only { "ro,Z" } else { "Z" };
            return ["--volume".to_owned(), format!("{}:{inside}:{mode}", self.path)];
        }
        let read_only = if self.read_only { ",readonly" } else { "" };
        // Both read a list of comma separated values, in which quotes keep a comma.
        let quoted = |field: String| {
            if field.contains([',', '"']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field
            }
        };
        let source = quoted(format!("source={}", self.path));
        let target = quoted(format!("target={inside}"));
        ["--mount".to_owned(), format!("type=bind,{source},{target}{read_only}")]
    }
}

/// What is run, of which image, with what of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The container's name.
    pub name: String,
    /// The image; it has to be on this node.
    pub image: String,
    /// The program, by its path inside. No entry point of the image runs.
    pub program: String,
    /// Where it works, inside.
    pub workdir: String,
    /// User and group, by number.
    pub user: (u32, u32),
    /// Supplementary groups, by number.
    pub groups: Vec<u32>,
    /// The network: `host`, or the engine's name of another.
    pub network: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Variables with their values, which everybody may read.
    pub env: Vec<(String, String)>,
    /// Variables that go in as the command itself has them, if it has them.
    pub env_passed: Vec<String>,
    /// What of the host is inside.
    pub binds: Vec<Bind>,
    /// The container object vanishes with its end.
    pub remove: bool,
    /// More arguments, already found harmless.
    pub options: Vec<String>,
}

impl Engine {
    /// The command that runs it attached: it ends with the container, with its exit code, and what the
    /// container says is what it says. The program's own arguments are put behind it.
    pub fn run(&self, run: &Run) -> Cmd {
        let mut args: Vec<String> = ["run", "--pull=never", "--init", "--interactive"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        if run.remove {
            args.push("--rm".to_owned());
        }
        let mut pair = |name: &str, value: &str| args.push(format!("{name}={value}"));
        pair("--name", &run.name);
        pair("--entrypoint", &run.program);
        pair("--workdir", &run.workdir);
        pair("--user", &format!("{}:{}", run.user.0, run.user.1));
        run.groups.iter().for_each(|group| pair("--group-add", &group.to_string()));
        pair("--cap-drop", "ALL");
        pair("--security-opt", "no-new-privileges");
        pair("--network", &run.network);
        // Its words come by the command; the engine would keep them a second time, without a bound.
        pair("--log-driver", "none");
        run.labels.iter().for_each(|(name, value)| pair("--label", &format!("{name}={value}")));
        run.env.iter().for_each(|(name, value)| pair("--env", &format!("{name}={value}")));
        run.env_passed.iter().for_each(|name| pair("--env", name));
        args.extend(run.binds.iter().flat_map(Bind::args));
        args.extend(run.options.iter().cloned());
        args.push(run.image.clone());
        self.command(args)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn run() -> Run {
        Run {
            name: "pg".into(),
            image: "localhost/pg:15".into(),
            program: "/usr/lib/postgresql/15/bin/postgres".into(),
            workdir: "/srv/pg".into(),
            user: (26, 27),
            groups: vec![27, 110],
            network: "host".into(),
            labels: vec![("pgtwin.resource".into(), "db".into())],
            env: vec![("LC_ALL".into(), "C".into())],
            env_passed: vec!["TAG".into()],
            binds: vec![Bind::of("/srv/pg")],
            remove: true,
            options: vec!["--memory=1g".into()],
        }
    }

    #[test]
    fn a_container_has_no_privilege_that_it_was_not_given() {
        let engine = Engine { kind: Kind::Podman, program: "/usr/bin/podman".into() };
        let cmd = engine.run(&run()).args(["-D", "/srv/pg"]);
        assert_eq!(
            cmd.args,
            [
                "run",
                "--pull=never",
                "--init",
                "--interactive",
                "--rm",
                "--name=pg",
                "--entrypoint=/usr/lib/postgresql/15/bin/postgres",
                "--workdir=/srv/pg",
                "--user=26:27",
                "--group-add=27",
                "--group-add=110",
                "--cap-drop=ALL",
                "--security-opt=no-new-privileges",
                "--network=host",
                "--log-driver=none",
                "--label=pgtwin.resource=db",
                "--env=LC_ALL=C",
                "--env=TAG",
                "--mount",
                "type=bind,source=/srv/pg,target=/srv/pg",
                "--memory=1g",
                "localhost/pg:15",
                "-D",
                "/srv/pg",
            ]
        );
    }

    #[test]
    fn a_bind_mount_is_written_as_both_engines_read_it() {
        for (bind, text) in [
            (Bind::of("/a").read_only(), "type=bind,source=/a,target=/a,readonly"),
            (
                Bind { inside: Some("/b".into()), ..Bind::of("/a,\"x") },
                "type=bind,\"source=/a,\"\"x\",target=/b",
            ),
        ] {
            assert_eq!(bind.args(), ["--mount".to_owned(), text.to_owned()]);
        }
        let relabelled = Bind { relabel: true, ..Bind::of("/a").read_only() };
        assert_eq!(relabelled.args(), ["--volume".to_owned(), "/a:/a:ro,Z".to_owned()]);
    }
}
