//! One TCP connection to the server, which never waits.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::target::Target;

/// A TCP connection. A logical connection has two of them where it polls.
#[derive(Debug)]
pub(super) struct Leg {
    stream: TcpStream,
    connected: bool,
    /// What was read and is not whole yet.
    pub(super) input: Vec<u8>,
    /// What the kernel did not take yet.
    output: Vec<u8>,
}

impl Leg {
    /// Begins to open one, for the connection `number`.
    pub(super) fn open(
        target: &Target,
        number: usize,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = target.connect(number)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, connected: false, input: Vec::new(), output: Vec::new() })
    }

    /// Whether it has just been opened.
    pub(super) fn connects(&mut self) -> io::Result<bool> {
        if self.connected {
            return Ok(false);
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        // Also told of a socket that is still connecting.
        self.connected = self.stream.peer_addr().is_ok();
        Ok(self.connected)
    }

    /// Sends bytes: at once as far as the kernel takes them, the rest when it does.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        if self.output.is_empty() && self.connected {
            // An error shows to who reads.
            bytes = &bytes[self.stream.write(bytes).unwrap_or(0)..];
        }
        self.output.extend_from_slice(bytes);
    }

    /// Sends what is left.
    pub(super) fn flush(&mut self) {
        while !self.output.is_empty() && self.connected {
            match self.stream.write(&self.output) {
                Ok(0) | Err(_) => return,
                Ok(written) => drop(self.output.drain(..written)),
            }
        }
        // An idle connection keeps no buffer.
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// Reads what is there, into `buffer`. `None` if nothing is.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(size) => return Ok(Some(size)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
