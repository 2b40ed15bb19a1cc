//! Connections from an address of one's choice on the loopback interface, for programs that cannot
//! choose it: what comes in at a port goes on from there.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

/// A port on 127.0.0.1 from which one comes to the server's port as somebody at `source`.
pub fn port_of(source: IpAddr, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test program.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let to = connected(source, server);
            pass_on(client.try_clone().unwrap(), to.try_clone().unwrap());
            pass_on(to, client);
        }
    });
    port
}

fn connected(source: IpAddr, server: u16) -> TcpStream {
    let (family, loopback) = match source {
        IpAddr::V4(_) => (AddressFamily::Inet, "127.0.0.1".parse().unwrap()),
        IpAddr::V6(_) => (AddressFamily::Inet6, "::1".parse().unwrap()),
    };
    let of = |address: IpAddr, port| SockaddrStorage::from(SocketAddr::new(address, port));
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &of(source, 0)).unwrap();
    connect(fd.as_raw_fd(), &of(loopback, server)).unwrap();
    TcpStream::from(fd)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
