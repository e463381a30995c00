//! The key file: the secret that the nodes of a cluster share.
//!
//! Owns its form, its making and its reading. One key a line, as 64 hexadecimal digits; `#` begins
//! a comment. The first key is the one in use, a second one is the one before it, still accepted
//! while a new file makes its way to every node. Never shows a key: not in an error, not in
//! `Debug`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::{Code, Failure, Result, plain_io};

/// Where the key file is when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/standin/key";
/// The length of a key: what HMAC-SHA256 takes without hashing it first, half a block.
pub const KEY_BYTES: usize = 32;
/// Two keys and some comment fit many times.
const LARGEST_FILE_BYTES: u64 = 4096;
/// Only its owner may read it.
const MODE: u32 = 0o600;

const HEADER: &str = "\
# standin: the key of a cluster. Keep it secret; it is the same on every node.
# The first line is the key in use, a second one is still accepted.
";

/// The arguments of `standin keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The key file
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH)]
    pub file: PathBuf,

    /// Put a new key before the one in use, which is still accepted
    #[arg(long)]
    pub rotate: bool,
}

/// A key. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

/// The keys of a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one in use.
    pub current: Key,
    /// The one before, still accepted.
    pub previous: Option<Key>,
}

impl Key {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn generate() -> io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        // The kernel's generator; ready long before anything of ours runs.
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; KEY_BYTES];
        if text.len() != KEY_BYTES * 2 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Some(Self(bytes))
    }

    fn write(&self, text: &mut String) {
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        text.push('\n');
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(…)")
    }
}

impl Keys {
    /// Reads a key file. Who may read it is judged by `standin check`.
    ///
    /// # Errors
    /// It cannot be read, or is no key file.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST_FILE_BYTES).read_to_string(&mut text))
            .map_err(|error| {
            let failure = Failure::new(
                Code::Config,
                format!("cannot read the key file {}: {}", path.display(), plain_io(&error)),
            );
            match error.kind() {
                io::ErrorKind::NotFound => failure.advice(format!(
                    "standin keygen {}, then copy it to the other nodes",
                    path.display()
                )),
                io::ErrorKind::PermissionDenied => failure.advice("run it as root"),
                _ => failure,
            }
        })?;
        Self::parse(&text).map_err(|why| {
            Failure::config(format!("{} is no key file: {why}", path.display()))
                .expected("one or two lines of 64 hexadecimal digits")
                .advice("standin keygen makes one")
        })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// A sentence that names the line, never what is in it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line)
                .ok_or_else(|| format!("line {number} is not 64 hexadecimal digits"))?;
            if key.0.iter().all(|byte| *byte == key.0[0]) {
                return Err(format!("line {number} is no secret: all its bytes are the same"));
            }
            if keys.contains(&key) {
                return Err(format!("line {number} repeats the key"));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        match (keys.next(), keys.next(), keys.next()) {
            (None, _, _) => Err("there is no key in it".into()),
            (Some(current), previous, None) => Ok(Self { current, previous }),
            (Some(_), _, Some(_)) => Err("there are more than two keys in it".into()),
        }
    }

    fn to_text(&self) -> String {
        let mut text = HEADER.to_owned();
        self.current.write(&mut text);
        if let Some(previous) = &self.previous {
            previous.write(&mut text);
        }
        text
    }
}

/// Makes a key file, or with `rotate` puts a new key before the one in use. Says what was done and
/// what comes next.
///
/// # Errors
/// There is a file already (without `rotate`), there is none (with it), or it cannot be written.
/// The old file is unchanged then.
pub fn run(path: &Path, rotate: bool) -> Result<String> {
    if rotate { self::rotate(path) } else { create(path) }
}

fn create(path: &Path) -> Result<String> {
    let current = generate()?;
    let keys = Keys { current, previous: None };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    }
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Code::CannotCreate, format!("{shown} is there already"))
                .expected("the path of a file that is not there yet")
                .advice(format!(
                    "standin keygen {shown} --rotate puts a new key before the old one"
                ))
        }
        _ => cannot_write(path, &error),
    })?;
    if let Err(error) = fill(&mut file, &keys) {
        // Half a key file would be refused later, and would be in the way now.
        let _ = fs::remove_file(path);
        return Err(cannot_write(path, &error));
    }
    Ok(format!("wrote a new key to {shown}\nnext: copy it to every other node, mode 0600\n"))
}

fn rotate(path: &Path) -> Result<String> {
    let old = Keys::read(path)?;
    // A link is followed, so that it stays one.
    let real = fs::canonicalize(path).map_err(|error| cannot_write(path, &error))?;
    let keys = Keys { current: generate()?, previous: Some(old.current) };
    replace(&real, &keys).map_err(|error| cannot_write(path, &error))?;
    let shown = path.display();
    let dropped = match old.previous {
        Some(_) => "the key before it is no longer accepted\n",
        None => "",
    };
    Ok(format!(
        "wrote a new key to {shown}; the old one is still accepted\n{dropped}\
         next: copy it to every other node, and when all have it, delete its last line on each\n"
    ))
}

/// Writes a file beside the old one and puts it in its place in one step, with the same owner and
/// never more readers.
fn replace(path: &Path, keys: &Keys) -> io::Result<()> {
    let old = fs::metadata(path)?;
    let new = beside(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
    let written = fill(&mut file, keys)
        .and_then(|()| {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) == (old.uid(), old.gid()) {
                return Ok(());
            }
            fchown(&file, Some(old.uid()), Some(old.gid()))
        })
        // A group may read it where it could before.
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(MODE | old.mode() & 0o040)))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

fn fill(file: &mut File, keys: &Keys) -> io::Result<()> {
    file.write_all(keys.to_text().as_bytes())?;
    file.sync_all()
}

fn generate() -> Result<Key> {
    Key::generate().map_err(|error| Failure::os("read /dev/urandom", &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(
        Code::CannotCreate,
        format!("cannot write {}: {}", path.display(), plain_io(error)),
    );
    match error.kind() {
        io::ErrorKind::PermissionDenied => failure.advice("run it as root, or name another FILE"),
        _ => failure,
    }
}
