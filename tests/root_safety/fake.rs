//! A server that is none: a process of the postgres user, called postgres, that works in PGDATA and
//! listens on its socket. It is this test program under another name.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::account::{NAME, test_user};
use crate::program;
use crate::rig::Rig;

const MODE: &str = "PGTWIN_FAKE_MODE";
const SOCKET: &str = "PGTWIN_FAKE_SOCKET";
const PIDS: &str = "PGTWIN_FAKE_PIDS";

/// One that runs; it is killed when this is dropped.
pub struct Fake(Child);

impl Fake {
    /// Starts it in this mode, and writes a postmaster.pid that names it. `pids` are those of the
    /// walsenders that it claims to have.
    pub fn start(on: &Rig, mode: &str, pids: &[u32]) -> Self {
        let bin = on.home.path().join("fake/postgres");
        if !bin.exists() {
            fs::create_dir(bin.parent().unwrap()).unwrap();
            program::place(std::env::current_exe().unwrap(), &bin);
            for path in [bin.parent().unwrap(), &bin] {
                std::os::unix::fs::chown(path, Some(test_user().uid), None).unwrap();
            }
        }
        let socket = Self::socket(on);
        let _ = fs::remove_file(&socket);
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        // A shell's background job has SIGINT ignored, which is inherited: a postmaster does not leave it so.
        let child = Command::new("env")
            .args(["--default-signal=INT", "setpriv"])
            .args(["--reuid", NAME, "--regid", NAME, "--init-groups", "--"])
            .arg(&bin)
            .args(["--exact", "fake::helper_that_is_a_server", "--ignored", "--nocapture"])
            .current_dir(on.pgdata())
            .env_clear()
            .env(MODE, mode)
            .env(SOCKET, &socket)
            .env(PIDS, pids.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < Duration::from_mins(1), "the fake server does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        let fake = Self(child);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        claim(on, &fake.pid().to_string(), now);
        fake
    }

    pub fn socket(on: &Rig) -> PathBuf {
        on.home.path().join(format!(".s.PGSQL.{}", on.port))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Whether it has ended. Unlike a postmaster it has threads: the first of them is dead, which is
    /// what `stop` sees, a moment before the last is and the whole can be waited for.
    pub fn has_ended(&mut self) -> bool {
        for _ in 0..100 {
            if !self.is_alive() {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A postmaster.pid that says so.
pub fn claim(on: &Rig, pid: &str, started: u64) {
    let (data, home) = (on.pgdata(), on.home.path());
    let path = data.join("postmaster.pid");
    let text = format!(
        "{pid}\n{}\n{started}\n{}\n{}\n\n       1         1\nready   \n",
        data.display(),
        on.port,
        home.display()
    );
    fs::write(&path, text).unwrap();
    std::os::unix::fs::chown(&path, Some(test_user().uid), None).unwrap();
}

#[test]
#[ignore = "the server of other tests"]
fn helper_that_is_a_server() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mode = std::env::var(MODE).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    for stream in listener.incoming() {
        let (stream, mode) = (stream.unwrap(), mode.clone());
        thread::spawn(move || serve(stream, &mode));
    }
}

fn serve(mut stream: UnixStream, mode: &str) {
    let mut buffer = [0; 4096];
    // What comes is not looked at; one read is one packet of the agent's.
    let mut next = |stream: &mut UnixStream| stream.read(&mut buffer).is_ok_and(|n| n > 0);
    if mode == "silent" {
        thread::sleep(Duration::from_mins(10));
    }
    if !next(&mut stream) || mode == "closes" {
        return;
    }
    let greeting: Vec<u8> = match mode {
        "rubbish" => {
            (0..4096_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect()
        }
        "zeroes" => vec![0; 4096],
        "negative" => vec![b'R', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        "wants a password" => message(b'R', &3_u32.to_be_bytes()),
        "wants too much" => message(b'R', &[&10_u32.to_be_bytes()[..], &[b'X'; 9000]].concat()),
        "a giant greeting" => return forever(&mut stream, &giant(b'E'), b"M"),
        "parameters without end" => {
            let mut count: u64 = 0;
            while stream.write_all(&message(b'S', format!("p{count}\0x\0").as_bytes())).is_ok() {
                count += 1;
            }
            return;
        }
        _ => [message(b'R', &0_u32.to_be_bytes()), ready()].concat(),
    };
    let _ = stream.write_all(&greeting);
    while next(&mut stream) {
        let sent = match mode {
            "rows without end" => return forever(&mut stream, &columns(1), &row(&["x"])),
            "empty rows without end" => return forever(&mut stream, &columns(0), &row(&[])),
            "a giant row" => return forever(&mut stream, &giant(b'D'), &[0]),
            "notices without end" => return forever(&mut stream, b"", &error(b'N', "x")),
            "drips" => {
                for byte in columns(1).iter().chain(row(&vec!["x"; 2000]).iter()) {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                return;
            }
            "a shouting error" => {
                let words = "out\r\nocf-exit-reason:all is well\n\u{1b}[2J\u{202e}".repeat(20_000);
                stream.write_all(&[error(b'E', &words), ready()].concat())
            }
            "hostile values" => {
                let words = "150000\nocf-exit-reason:all is well\u{1b}[2J";
                let one = table(&["server", words, "false", "1", "1"]);
                stream.write_all(&[one, table(&[words]), ready()].concat())
            }
            "a primary" => stream.write_all(&primary()),
            _ => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The answer to a look, of a primary all of whose walsenders lag but one.
fn primary() -> Vec<u8> {
    let pids = std::env::var(PIDS).unwrap_or_default();
    let mut rows = vec![
        table(&["server", "150018", "false", "7710224403141089813", "1763640512123456"]),
        table(&[
            "primary",
            "",
            "0/3000060",
            "0/2000028",
            "000000010000000000000003",
            "on",
            "on",
            "on",
            "off",
            "on",
            "on",
            "1GB",
        ]),
    ];
    for (index, pid) in pids.split_whitespace().enumerate() {
        let flush = if index == 0 { "0/3000060" } else { "0/1" };
        rows.push(table(&["process", pid, "walsender", "n2", "WalSenderMain"]));
        rows.push(table(&["walsender", pid, "streaming", flush, flush, "0", "async", "1"]));
    }
    [rows.concat(), ready()].concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

/// The head of a message of two gigabytes.
fn giant(tag: u8) -> Vec<u8> {
    [&[tag][..], &0x7fff_fff0_u32.to_be_bytes()].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// The answer to one statement: one row.
fn table(values: &[&str]) -> Vec<u8> {
    let count = u16::try_from(values.len()).unwrap();
    [columns(count), row(values), message(b'C', b"SELECT 1\0")].concat()
}

fn columns(count: u16) -> Vec<u8> {
    let one = [&b"c\0"[..], &[0; 6], &25_u32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    message(b'T', &[&count.to_be_bytes()[..], &one.repeat(count.into())].concat())
}

fn row(values: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    message(b'D', &body)
}

fn error(tag: u8, words: &str) -> Vec<u8> {
    message(tag, format!("SERROR\0CXX000\0M{words}\0D{words}\0H{words}\0\0").as_bytes())
}

fn forever(stream: &mut UnixStream, first: &[u8], again: &[u8]) {
    let many = again.repeat(65_536 / again.len().max(1) + 1);
    let mut sent = stream.write_all(first);
    while sent.is_ok() {
        sent = stream.write_all(&many);
    }
}
