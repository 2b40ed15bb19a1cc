//! What Pacemaker's tools say to n2, and where a program fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use pgtwin::cluster::ledger::{Entry, PromotionId, Slot};
use pgtwin::sys::exec::{Cmd, Ended, Exec, ExecError, Output, System};

use crate::account::NAME;
use crate::engine;
use crate::world::{RESOURCE, World, bindir, node};

impl World {
    pub fn cib(&self) -> String {
        let slot = Slot { done: Some(self.entry()), ..Slot::default() };
        let parameters = [
            ("pgdata", self.path("standby")),
            ("pgport", self.port.clone()),
            ("pguser", NAME.to_owned()),
            ("pg_bindir", bindir().display().to_string()),
            ("socket_dir", self.path("standby-socket")),
            ("repuser", NAME.to_owned()),
            ("node_list", "n1 n2".to_owned()),
            ("node_addresses", "n1=127.0.0.1 n2=127.0.0.2".to_owned()),
        ];
        let config = self.config_file().map(|file| ("config_file", file));
        let contained = if engine::asked_for().is_some() {
            engine::as_words(&self.params())
        } else {
            Vec::new()
        };
        let parameters: Vec<String> = parameters
            .iter()
            .chain(&config)
            .chain(&contained)
            .map(|(name, value)| format!("<nvpair id='p-{name}' name='{name}' value='{value}'/>"))
            .collect();
        let parameters = parameters.concat();
        let newer = if self.overtaken.load(Ordering::Relaxed) {
            let (id, term) = (PromotionId(9), 2);
            let done = Some(Entry { id, term, primary: node("n4"), ..self.entry() });
            let slot = Slot { done, ..Slot::default() };
            format!("<nvpair id='l-4' name='pgtwin-{RESOURCE}-ledger-n4' value='{slot}'/>")
        } else {
            String::new()
        };
        let order = match self.order.lock().unwrap().as_str() {
            "" => String::new(),
            order => {
                format!("<nvpair id='o-2' name='pgtwin-{RESOURCE}-rebuild-n2' value='{order}'/>")
            }
        };
        let epoch = self.epoch.load(Ordering::Relaxed);
        let of_n2 = self.slot.lock().unwrap().as_ref().map_or_else(String::new, |slot| {
            format!("<nvpair id='l2' name='pgtwin-{RESOURCE}-ledger-n2' value='{slot}'/>")
        });
        let role = if self.is_stopped() {
            "<nvpair id='m-2' name='target-role' value='Stopped'/>"
        } else {
            ""
        };
        format!(
            "<cib admin_epoch='{epoch}' epoch='7' num_updates='1' have-quorum='1'><configuration><crm_config>\
             <cluster_property_set id='o'><nvpair id='o-1' name='stonith-enabled' value='true'/>\
             </cluster_property_set><cluster_property_set id='pgtwin-{RESOURCE}'><nvpair id='l' \
             name='pgtwin-{RESOURCE}-ledger-n1' value='{slot}'/>{of_n2}{newer}{order}</cluster_property_set>\
             </crm_config>\
             <nodes><node id='1' uname='n1'/><node id='2' uname='n2'/></nodes><resources><clone id='c'>\
             <meta_attributes id='m'><nvpair id='m-1' name='promotable' value='true'/>{role}</meta_attributes>\
             <primitive id='{RESOURCE}' class='ocf' provider='heartbeat' type='pgtwin'>\
             <instance_attributes id='p'>{parameters}</instance_attributes></primitive></clone>\
             </resources><constraints/></configuration><status/></cib>"
        )
    }

    pub fn status(&self) -> String {
        let file = "tests/fixtures/pacemaker/trixie/healthy.crm_mon.xml";
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        // n1 and n3 in each other's place, so that n1 is the primary.
        let text = text.replace("\"n3\"", "\"n0\"").replace("\"n1\"", "\"n3\"");
        let text =
            text.replace("\"n0\"", "\"n1\"").replace("id=\"db\"", &format!("id=\"{RESOURCE}\""));
        if !self.is_stopped() {
            return text;
        }
        ["Promoted", "Unpromoted", "Started"]
            .iter()
            .fold(text, |text, role| text.replace(&format!("role=\"{role}\""), "role=\"Stopped\""))
            .replace("active=\"true\"", "active=\"false\"")
    }

    /// pg_rewind, which cannot remove what only this node has once it has begun.
    fn break_rewind(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        let base = fs::read_dir(self.home.path().join("standby/base")).unwrap();
        let dirs: Vec<PathBuf> = base.map(|entry| entry.unwrap().path()).collect();
        let chmod = |mode| {
            for dir in &dirs {
                if dir.exists() {
                    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        };
        chmod(0o500);
        let output = System.run_watched(cmd, line);
        chmod(0o700);
        output
    }
}

/// Whether it is this program, on the host or in a container.
fn runs(cmd: &Cmd, program: &str) -> bool {
    let inside = cmd.args.iter().find_map(|arg| arg.strip_prefix("--entrypoint="));
    inside.unwrap_or(&cmd.program).ends_with(program)
}

impl Exec for World {
    fn run(&self, cmd: &Cmd) -> Result<Output, ExecError> {
        let asks = |word: &str| cmd.args.iter().any(|arg| arg == word);
        let stdout = match cmd.program.as_str() {
            "crm_mon" => self.status(),
            "cibadmin" if asks("--query") => {
                if self.told.lock().unwrap().iter().any(|told| told.contains("=rebuilding")) {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                }
                self.cib()
            }
            "crm_node" => "n2\n".to_owned(),
            "attrd_updater" if asks("--query") => {
                "<pacemaker-result><status code='0' message='OK'/></pacemaker-result>".to_owned()
            }
            "crm_attribute" if self.sealed.load(Ordering::Relaxed) => {
                return Ok(Output {
                    ended: Ended::Exited(1),
                    stdout: String::new(),
                    stderr: "the CIB is sealed".to_owned(),
                });
            }
            "cibadmin" | "attrd_updater" | "crm_attribute" => {
                let told = format!("{} {}", cmd.program, cmd.args.join(" "));
                self.told.lock().unwrap().push(told);
                let text = String::from_utf8_lossy(&cmd.stdin);
                if let Some(epoch) = text.split("admin_epoch=\"").nth(1) {
                    let epoch = epoch.split('"').next().unwrap().parse().unwrap();
                    self.epoch.store(epoch, Ordering::Relaxed);
                }
                let ledger = format!("--name=pgtwin-{RESOURCE}-ledger-n2");
                let update = cmd.args.iter().find_map(|arg| arg.strip_prefix("--update="));
                if asks(&ledger)
                    && let Some(slot) = update
                {
                    *self.slot.lock().unwrap() = Some(slot.to_owned());
                }
                String::new()
            }
            _ => {
                let output = System.run(cmd);
                if asks("--single") && self.overtakes.load(Ordering::Relaxed) {
                    self.overtaken.store(true, Ordering::Relaxed);
                }
                return output;
            }
        };
        Ok(Output { ended: Ended::Exited(0), stdout, stderr: String::new() })
    }

    fn run_watched(&self, cmd: &Cmd, line: &mut dyn FnMut(&str)) -> Result<Output, ExecError> {
        if runs(cmd, "pg_rewind") && self.breaks.load(Ordering::Relaxed) {
            return self.break_rewind(cmd, line);
        }
        System.run_watched(cmd, line)
    }

    fn run_all(&self, cmds: &[Cmd]) -> Vec<Result<Output, ExecError>> {
        cmds.iter().map(|cmd| self.run(cmd)).collect()
    }
}
