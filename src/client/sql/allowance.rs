//! How much may come in through a connection. Whoever listens on the socket is the PostgreSQL user's
//! process, and could send rows, or one message, without end; this process is root's. Floor 2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one exchange. The longest honest answers are those of a server with thousands of roles
/// that have settings of their own.
const LARGEST: usize = 4 << 20;

/// What may still come in until it is renewed.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// For one exchange.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(LARGEST)))
    }

    /// For the next exchange.
    pub(super) fn renew(&self) {
        self.0.store(LARGEST, Ordering::Relaxed);
    }

    /// Takes from it; an error once it is used up.
    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(bytes);
        self.0.store(left.unwrap_or(0), Ordering::Relaxed);
        left.map(|_| ())
            .ok_or_else(|| io::Error::other(format!("it sent more than {} MiB", LARGEST >> 20)))
    }
}

/// A stream from which no more can be read than its allowance.
pub(super) struct Bounded<S> {
    stream: S,
    allowance: Allowance,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S, allowance: Allowance) -> Self {
        Self { stream, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.allowance.spend(buf.filled().len().saturating_sub(before)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_stays_so_until_the_next_exchange() {
        let allowance = Allowance::new();
        assert!(allowance.spend(LARGEST - 1).is_ok());
        assert!(allowance.spend(1).is_ok());
        assert!(allowance.spend(0).is_ok());
        assert!(allowance.spend(1).is_err());
        allowance.renew();
        assert!(allowance.spend(1).is_ok());
        assert!(allowance.spend(usize::MAX).is_err());
        assert!(allowance.spend(1).is_err(), "a refused message cannot be read on");
    }
}
