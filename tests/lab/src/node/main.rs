//! The lab's own program inside a node: it boots the node, starts and stops the cluster, keeps
//! the system log, measures for the benchmark and the comparison, and is the fence agent when it is called `fence_lab`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod boot;
mod cost;
mod engine;
mod fence;
mod measure;
mod patroni;
mod podman;
mod service;
mod syslog;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args();
    let called = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    if called.ends_with("fence_lab") {
        return fence::run(&rest);
    }
    let done = match rest.first().map(String::as_str) {
        Some("boot") => boot::boot(),
        Some("cluster-start") => service::start(),
        Some("cluster-stop") => service::stop(),
        Some("pacemaker-stop") => service::stop_pacemaker(),
        Some("measure") => measure::measure(rest.get(1)),
        Some("etcd-start") => patroni::start_etcd(),
        Some("patroni-start") => patroni::start(),
        Some("patroni-stop") => patroni::stop(),
        Some("quiet") => cost::quiet(rest.get(1), rest.get(2)),
        Some("turns") => cost::turns(rest.get(1), rest.get(2)),
        _ => Err(
            "use boot, cluster-start, cluster-stop, pacemaker-stop, etcd-start, patroni-start, \
                  patroni-stop, measure, quiet or turns"
                .to_owned(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("lab-node: {text}");
            ExitCode::FAILURE
        }
    }
}
