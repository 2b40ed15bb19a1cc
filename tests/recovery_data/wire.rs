//! A wire between a copy and its source that breaks, or goes silent, after so many bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// What happens when the bytes are used up.
#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    /// Every connection ends.
    Cut,
    /// Nothing comes any more.
    Silence,
}

/// A port of this machine that leads to another one.
pub struct Wire {
    pub port: u16,
    used_up: Arc<AtomicBool>,
}

impl Wire {
    /// Lets so many bytes come from `to`, in all connections together.
    pub fn new(to: u16, bytes: u64, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let used_up = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&used_up);
        let left = Arc::new(AtomicU64::new(bytes));
        // Its threads end with the tests.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (to_server, to_client) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || {
                    let (mut from, mut to) = (client, to_server);
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let (left, flag) = (Arc::clone(&left), Arc::clone(&flag));
                thread::spawn(move || pass(server, to_client, &left, &flag, then));
            }
        });
        Self { port, used_up }
    }

    /// Whether it has come to its end.
    pub fn is_used_up(&self) -> bool {
        self.used_up.load(Ordering::SeqCst)
    }
}

fn pass(
    mut server: TcpStream,
    mut client: TcpStream,
    left: &AtomicU64,
    used_up: &AtomicBool,
    then: Then,
) {
    let mut chunk = vec![0; 1 << 14];
    loop {
        let count = server.read(&mut chunk).unwrap_or(0);
        let size = u64::try_from(count).unwrap();
        let enough = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |l| l.checked_sub(size));
        if enough.is_err() {
            used_up.store(true, Ordering::SeqCst);
        }
        match (count, enough) {
            (0, _) => break,
            (_, Err(_)) if then == Then::Cut => break,
            // Both ends stay open.
            (_, Err(_)) => loop {
                thread::park();
            },
            (_, Ok(_)) if client.write_all(&chunk[..count]).is_err() => break,
            (_, Ok(_)) => {}
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// Kills the children of this process that run such a program; how many there were.
pub fn kill_children(program: &str) -> usize {
    let me = std::process::id().to_string();
    let pids: Vec<i32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let Some((name, rest)) = stat.rsplit_once(')') else { return false };
            name.ends_with(&format!("({program}")) && rest.split(' ').nth(2) == Some(&me)
        })
        .collect();
    for pid in &pids {
        crate::place::signal(*pid, nix::sys::signal::Signal::SIGKILL);
    }
    pids.len()
}
