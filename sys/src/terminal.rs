//! A terminal that is read key by key.
//!
//! Owns its settings while it is read so, and gives them back when it is dropped. Invariant: a read
//! ends when it was told to, whether anybody typed or not.

use std::io::{self, IsTerminal};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::error::{Error, Result};

/// Standard input, key by key.
#[derive(Debug)]
pub struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes standard input: no echo, no lines, no signals from keys.
    pub fn open() -> Result<Self> {
        const OPERATION: &str = "read the terminal key by key";
        let failed = |error: rustix::io::Errno| Error::new(OPERATION, error);
        let before = tcgetattr(rustix::stdio::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        raw.input_modes -= InputModes::IXON | InputModes::ICRNL;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &raw).map_err(failed)?;
        Ok(Self { before })
    }

    /// What was typed, waiting for it for so long at most; nothing: nobody typed. An error: the
    /// terminal has gone.
    pub fn read(&self, within: Duration) -> Result<Vec<u8>> {
        let failed = |error: rustix::io::Errno| Error::new("read the terminal", error);
        let input = rustix::stdio::stdin();
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        let limit = Timespec {
            tv_sec: within.as_secs().cast_signed(),
            tv_nsec: within.subsec_nanos().into(),
        };
        match poll(&mut watched, Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        let mut bytes = [0; 256];
        match rustix::io::read(input, &mut bytes) {
            Ok(0) => Err(failed(rustix::io::Errno::IO)),
            Ok(length) => Ok(bytes[..length].to_vec()),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Whether standard input and output are terminals.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows of standard output; 80 and 24 where it does not tell.
pub fn size() -> (usize, usize) {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok();
    let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24))
}
