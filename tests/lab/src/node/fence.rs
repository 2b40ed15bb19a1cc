//! `fence_lab`: a fence agent that cuts a node's power by killing its container. Options come as
//! `name=value` lines on standard input, as Pacemaker gives them, or as `-o ACTION`.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{is_running, request};

/// Where the lab says how fencing behaves; absent: it works.
const HOOKS: &str = "/lab/fencing";
/// Exit code of `status` for a node that is off.
const OFF: u8 = 2;

const METADATA: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_lab" shortdesc="Cuts the power of a node of the lab">
  <longdesc>Kills the container of a node through the container engine's socket.</longdesc>
  <parameters>
    <parameter name="action" unique="0" required="1">
      <getopt mixed="-o, --action=[action]"/>
      <content type="string" default="off"/>
      <shortdesc lang="en">Fencing action</shortdesc>
    </parameter>
    <parameter name="port" unique="0" required="1">
      <getopt mixed="-n, --plug=[name]"/>
      <content type="string"/>
      <shortdesc lang="en">Name of the node</shortdesc>
    </parameter>
    <parameter name="prefix" unique="0" required="0">
      <getopt mixed="--prefix=[text]"/>
      <content type="string"/>
      <shortdesc lang="en">What the containers' names begin with</shortdesc>
    </parameter>
  </parameters>
  <actions>
    <action name="on" automatic="0"/>
    <action name="off"/>
    <action name="reboot"/>
    <action name="status"/>
    <action name="list"/>
    <action name="monitor"/>
    <action name="metadata"/>
    <action name="validate-all"/>
  </actions>
</resource-agent>
"#;

/// Runs one action; the exit code is the fence agents' own.
pub fn run(args: &[String]) -> ExitCode {
    let mut options = from_args(args);
    if !options.contains_key("action") {
        let mut text = String::new();
        let _ = std::io::stdin().read_to_string(&mut text);
        options.extend(from_lines(&text));
    }
    let get = |name: &str| options.get(name).map(String::as_str).unwrap_or_default();
    let node = if get("port").is_empty() { get("plug") } else { get("port") };
    match act(get("action"), node, get("prefix")) {
        Ok(code) => ExitCode::from(code),
        Err(text) => {
            eprintln!("fence_lab: {text}");
            ExitCode::FAILURE
        }
    }
}

fn from_args(args: &[String]) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, value) = arg.split_once('=').map_or_else(
            || (arg.as_str(), args.next().cloned().unwrap_or_default()),
            |(name, value)| (name, value.to_owned()),
        );
        let name = match name {
            "-o" => "action",
            "-n" => "port",
            long => long.trim_start_matches('-'),
        };
        options.insert(name.to_owned(), value);
    }
    options
}

fn from_lines(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, value)| {
            // `option` is what the action was called once.
            let name = if name == "option" { "action" } else { name };
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn act(action: &str, node: &str, prefix: &str) -> Result<u8, String> {
    let container = format!("{prefix}{node}");
    match action {
        "metadata" => {
            print!("{METADATA}");
            Ok(0)
        }
        "validate-all" => Ok(0),
        "monitor" | "list" => match request("GET", "/_ping")?.status {
            200 => Ok(0),
            status => Err(format!("the engine answers HTTP {status}")),
        },
        _ if node.is_empty() => Err(format!("`{action}` without a node")),
        "status" => Ok(if is_running(&container)? { 0 } else { OFF }),
        "on" => power_on(&container).map(|()| 0),
        "off" => hook(node).and_then(|()| power_off(&container)).map(|()| 0),
        "reboot" => hook(node)
            .and_then(|()| power_off(&container))
            .and_then(|()| power_on(&container))
            .map(|()| 0),
        other => Err(format!("no action `{other}`")),
    }
}

/// Obeys what the lab has set for this node, or for all.
fn hook(node: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(format!("{HOOKS}-{node}"))
        .or_else(|_| std::fs::read_to_string(HOOKS))
        .unwrap_or_default();
    let mut words = text.split_whitespace();
    match (words.next(), words.next().and_then(|word| word.parse().ok())) {
        (Some("fails"), _) => Err(format!("fencing of {node} fails because the lab says so")),
        (Some("slow"), Some(seconds)) => {
            thread::sleep(Duration::from_secs(seconds));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Kills the container and does not believe it until the engine shows it dead.
fn power_off(container: &str) -> Result<(), String> {
    let answer = request("POST", &format!("/containers/{container}/kill?signal=KILL"))?;
    // 409: it did not run.
    if !matches!(answer.status, 204 | 409) {
        return Err(format!("cannot kill {container}: HTTP {} {}", answer.status, answer.body));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_running(container)? {
        if Instant::now() >= deadline {
            return Err(format!("{container} was killed and still runs"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn power_on(container: &str) -> Result<(), String> {
    let answer = request("POST", &format!("/containers/{container}/start"))?;
    // 304: it runs already.
    if matches!(answer.status, 204 | 304) {
        return Ok(());
    }
    Err(format!("cannot start {container}: HTTP {} {}", answer.status, answer.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_from_lines_and_from_arguments() {
        let lines = from_lines("nodename=n2\nplug=n2\noption=off\nprefix=a-\n\n# note\n");
        let get = |name: &str| lines.get(name).map(String::as_str);
        assert_eq!(
            (get("action"), get("plug"), get("prefix")),
            (Some("off"), Some("n2"), Some("a-"))
        );
        let args = from_args(&["-o".into(), "status".into(), "--plug=n3".into()]);
        assert_eq!(args.get("action").map(String::as_str), Some("status"));
        assert_eq!(args.get("plug").map(String::as_str), Some("n3"));
    }

    #[test]
    fn an_action_on_no_node_is_refused() {
        assert!(act("off", "", "p-").is_err());
        assert!(act("dance", "n1", "p-").is_err());
    }
}
