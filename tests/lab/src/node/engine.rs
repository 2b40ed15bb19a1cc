//! The container engine, through its socket mounted into the node: enough HTTP for the fence
//! agent.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SOCKET: &str = "/lab-engine.sock";
const LIMIT: Duration = Duration::from_secs(15);

/// An answer: HTTP status and body.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends a request without a body.
pub fn request(method: &str, path: &str) -> Result<Answer, String> {
    let fail = |error: std::io::Error| format!("{method} {path}: {error}");
    let mut stream = UnixStream::connect(SOCKET).map_err(fail)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(fail)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(fail)?;
    // HTTP 1.0: the answer ends with the connection, and has no chunks.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: lab\r\nContent-Length: 0\r\n\r\n")
        .map_err(fail)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(fail)?;
    parse(&text).ok_or_else(|| format!("{method} {path}: not an HTTP answer"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// True if the container runs.
pub fn is_running(container: &str) -> Result<bool, String> {
    let answer = request("GET", &format!("/containers/{container}/json"))?;
    if answer.status != 200 {
        return Err(format!("cannot inspect {container}: HTTP {}", answer.status));
    }
    let value: serde_json::Value = serde_json::from_str(&answer.body)
        .map_err(|error| format!("cannot read the state of {container}: {error}"))?;
    value
        .pointer("/State/Running")
        .and_then(serde_json::Value::as_bool)
        .ok_or_else(|| format!("the engine does not say whether {container} runs"))
}

#[cfg(test)]
mod tests {
    #[test]
    #[allow(clippy::unwrap_used)]
    fn an_answer_has_a_status_and_a_body() {
        let answer = super::parse("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "{}"));
        assert!(super::parse("rubbish").is_none());
    }
}
