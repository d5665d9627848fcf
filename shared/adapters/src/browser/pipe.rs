//! Messages to and from the browser over one socket: JSON, each ended by a zero byte.
//!
//! What arrives is bounded: a message that is longer than the limit is passed over, since it can only be an event that
//! carries something of the page (a `data:` URL of megabytes).

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Failure;

/// Bytes of one message that are kept.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Our end of the socket.
pub(super) struct Pipe {
    stream: UnixStream,
    /// What was read and not yet given away.
    pending: Vec<u8>,
    /// How far `pending` was searched for the end of a message.
    searched: usize,
    /// Whether `pending` begins in the middle of a message that is passed over.
    passing_over: bool,
}

impl Pipe {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, pending: Vec::new(), searched: 0, passing_over: false }
    }

    pub(super) async fn send(&mut self, message: &Value) -> Result<(), Failure> {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.stream.write_all(&bytes).await.map_err(|_| Failure::Gone)
    }

    /// The next message. Dropping the future loses nothing.
    pub(super) async fn receive(&mut self) -> Result<Value, Failure> {
        loop {
            if let Some(message) = self.next_message()? {
                return Ok(message);
            }
            match self.stream.read_buf(&mut self.pending).await {
                Ok(0) | Err(_) => return Err(Failure::Gone),
                Ok(_) => {}
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            let Some(end) = self.pending[self.searched..].iter().position(|byte| *byte == 0) else {
                self.searched = self.pending.len();
                if self.pending.len() > MESSAGE_BYTES_MAX {
                    self.passing_over = true;
                    self.pending = Vec::new();
                    self.searched = 0;
                }
                return Ok(None);
            };
            let end = self.searched + end;
            let message = (!self.passing_over).then(|| serde_json::from_slice(&self.pending[..end]));
            self.pending.drain(..=end);
            self.searched = 0;
            self.passing_over = false;
            match message {
                Some(Ok(message)) => return Ok(Some(message)),
                Some(Err(error)) => return Err(Failure::Protocol(format!("it sent what is no JSON: {error}"))),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn messages_are_told_apart_wherever_they_are_cut() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut pipe = Pipe::new(ours);
        theirs.write_all(b"{\"id\":1}\0{\"id\"").await.expect("written");
        assert_eq!(pipe.receive().await.expect("whole"), json!({"id": 1}));
        theirs.write_all(b":2}\0").await.expect("written");
        assert_eq!(pipe.receive().await.expect("whole"), json!({"id": 2}));
        drop(theirs);
        assert!(matches!(pipe.receive().await, Err(Failure::Gone)));
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_is_passed_over_and_the_next_one_is_read() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut pipe = Pipe::new(ours);
        let writer = tokio::spawn(async move {
            theirs.write_all(&vec![b'x'; MESSAGE_BYTES_MAX * 2]).await.expect("written");
            theirs.write_all(b"\0{\"id\":3}\0").await.expect("written");
            theirs
        });
        assert_eq!(pipe.receive().await.expect("the next"), json!({"id": 3}));
        assert!(pipe.pending.capacity() < MESSAGE_BYTES_MAX * 2);
        writer.await.expect("no panic");
    }

    #[tokio::test]
    async fn what_is_no_json_is_a_failure_of_the_browser() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(b"hello\0").await.expect("written");
        assert!(matches!(Pipe::new(ours).receive().await, Err(Failure::Protocol(_))));
    }
}
