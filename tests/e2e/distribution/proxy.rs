//! A connection that breaks off, in between.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

/// Hands on what is sent, both ways, until as many bytes as allowed have been answered. Its thread ends
/// with the test.
pub struct Proxy {
    pub address: String,
    line: Arc<Line>,
}

struct Line {
    to: String,
    /// Bytes of answers that still get through.
    left: AtomicI64,
    /// All that was asked.
    asked: Mutex<Vec<u8>>,
    /// Whoever asks with this in it is not heard, and nobody after.
    ends_with: Mutex<Option<String>>,
}

impl Proxy {
    pub fn start(to: &str, answer_bytes: i64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let line = Arc::new(Line {
            to: to.to_owned(),
            left: AtomicI64::new(answer_bytes),
            asked: Mutex::default(),
            ends_with: Mutex::default(),
        });
        let held = line.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                held.clone().connect(client.unwrap());
            }
        });
        Proxy { address, line }
    }

    /// From now on everything gets through.
    pub fn mend(&self) {
        self.line.left.store(i64::MAX, Relaxed);
    }

    /// From now on nothing does.
    pub fn cut(&self) {
        self.line.left.store(0, Relaxed);
    }

    /// Nothing gets through from the first question on that has this in it.
    pub fn cut_at(&self, question: &str) {
        *self.line.ends_with.lock().unwrap() = Some(question.to_owned());
    }

    /// What was asked, in lower case, since the last time.
    pub fn asked(&self) -> String {
        let asked = std::mem::take(&mut *self.line.asked.lock().unwrap());
        String::from_utf8_lossy(&asked).to_lowercase()
    }
}

impl Line {
    fn is_heard(&self, question: &[u8]) -> bool {
        let question = String::from_utf8_lossy(question);
        let end = self.ends_with.lock().unwrap();
        let ends = end.as_ref().is_some_and(|end| question.contains(end));
        if ends {
            self.left.store(0, Relaxed);
        }
        !ends
    }

    fn connect(self: Arc<Line>, client: TcpStream) {
        if self.left.load(Relaxed) <= 0 {
            return;
        }
        let server = TcpStream::connect(&self.to).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let line = self.clone();
        thread::spawn(move || {
            pass(&mut from, &mut to, |bytes| {
                line.asked.lock().unwrap().extend(bytes);
                line.is_heard(bytes)
            });
        });
        let (mut from, mut to) = (server, client);
        thread::spawn(move || {
            pass(&mut from, &mut to, |bytes| {
                let sent = i64::try_from(bytes.len()).unwrap();
                self.left.load(Relaxed) == i64::MAX || self.left.fetch_sub(sent, Relaxed) > sent
            });
        });
    }
}

/// Until one of them closes, or `look` has seen enough; then both ends are closed.
fn pass(from: &mut TcpStream, to: &mut TcpStream, mut look: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !look(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
