//! A connection that has to say in time which protocol it speaks.
//!
//! What follows has limits of its own in hyper; up to here, telling HTTP/1 from HTTP/2, it would
//! wait for ever. Then all that is left to do is to put short answers together.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// What every HTTP/2 connection begins with. Anything else is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is no longer is put together before it is sent: a list of parts takes the kernel longer than that.
const SHORT: usize = 1 << 10;

pub struct Beginning {
    stream: TcpStream,
    /// The bytes of the preface that came.
    seen: usize,
    /// Gone when the protocol is known.
    limit: Option<Pin<Box<Sleep>>>,
}

impl Beginning {
    pub fn new(stream: TcpStream, limit: Duration) -> Beginning {
        Beginning {
            stream,
            seen: 0,
            limit: Some(Box::pin(tokio::time::sleep(limit))),
        }
    }

    fn see(&mut self, bytes: &[u8]) {
        self.seen += bytes.len();
        let expected = PREFACE.get(self.seen - bytes.len()..self.seen);
        if expected != Some(bytes) || self.seen == PREFACE.len() {
            self.limit = None;
        }
    }
}

impl AsyncRead for Beginning {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(limit) = &mut self.limit else {
            return read;
        };
        if read.is_ready() {
            self.see(&buffer.filled()[before..]);
            return read;
        }
        ready!(limit.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Beginning {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length > SHORT {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        let mut bytes = [0; SHORT];
        let mut rest = &mut bytes[..];
        for slice in slices {
            let (part, after) = rest.split_at_mut(slice.len());
            part.copy_from_slice(slice);
            rest = after;
        }
        Pin::new(&mut self.stream).poll_write(context, &bytes[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
