//! The node's system log: /dev/log into /var/log/syslog, one line a message, kept small.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::SystemTime;

use lab::clock::{clock, time_of_day};

const SOCKET: &str = "/dev/log";
const FILE: &str = "/var/log/syslog";
/// At this size the file is renamed, and the one before is dropped.
const LIMIT: u64 = 16 << 20;

/// Opens the socket: from here on nothing is lost.
pub fn open() -> Result<UnixDatagram, String> {
    let _ = fs::remove_file(SOCKET);
    let socket =
        UnixDatagram::bind(SOCKET).map_err(|error| format!("cannot bind {SOCKET}: {error}"))?;
    fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o666))
        .map_err(|error| format!("cannot open {SOCKET} to all: {error}"))?;
    Ok(socket)
}

/// Writes messages for ever.
pub fn serve(socket: &UnixDatagram) {
    let mut buffer = vec![0_u8; 64 << 10];
    let mut file = append();
    loop {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let message = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        // No date: dates do not matter in a lab.
        let now = clock(time_of_day(SystemTime::now()));
        let line = format!("{now} {}\n", body(&message));
        if let Some(open) = &mut file {
            let _ = open.write_all(line.as_bytes());
            if open.metadata().is_ok_and(|data| data.len() > LIMIT) {
                let _ = fs::rename(FILE, format!("{FILE}.1"));
                file = append();
            }
        } else {
            file = append();
        }
    }
}

fn append() -> Option<File> {
    OpenOptions::new().create(true).append(true).open(FILE).ok()
}

/// A message without its priority and its own time stamp (RFC 3164: `<30>Nov 20 11:55:53 tag: …`).
fn body(message: &str) -> String {
    let text = message.split_once('>').map_or(message, |(_, rest)| rest);
    let stamped = text.as_bytes().get(3) == Some(&b' ') && text.as_bytes().get(9) == Some(&b':');
    let text = if stamped { text.get(16..).unwrap_or(text) } else { text };
    text.trim_end_matches(['\0', '\n']).replace('\n', " | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_its_priority_and_time_stamp_and_stays_one_line() {
        assert_eq!(body("<30>Nov 20 11:55:53 pgtwin(pg)[7]: a\nb\n\0"), "pgtwin(pg)[7]: a | b");
        assert_eq!(body("plain"), "plain");
    }
}
