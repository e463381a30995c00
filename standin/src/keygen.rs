//! The key file: the secret that the nodes of a cluster share.
//!
//! Owns its form, its making, its reading and the steps of a rotation. Never shows a key: not in an
//! error, not in `Debug`. One key a line, as 64 hexadecimal digits; `#` begins a comment. The first
//! key is the one to send with; a second one, with its role before it, is believed as well.
//!
//! A rotation takes the steps that [`KeyRing`] draws, one each time `standin keygen --rotate` is
//! run. A new file reaches the nodes one after the other, so two files that follow each other have
//! to go together:
//!
//! ```text
//!              the file            sends with   believes
//!   before     OLD                 old          old
//!   1. learn   OLD, next NEW       old          old, new
//!   2. switch  NEW, previous OLD   new          new, old
//!   3. forget  NEW                 new          new
//! ```
//!
//! Invariant: whoever has one of these files and whoever has the one after it believe each other.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use clap::Args;
use standin_core::heartbeat::{self, KeyError, KeyRing};

use crate::failure::{Code, Failure, Result, plain_io};
use crate::regular;

/// Where the key file is when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/standin/key";
/// The length of a key: what HMAC-SHA256 takes without hashing it first, half a block.
pub const KEY_BYTES: usize = 32;
/// Two keys and some comment fit many times.
pub const LARGEST_FILE_BYTES: u64 = 4096;
/// The user that standin.service runs as, where it is installed.
pub(crate) const SERVICE_USER: &str = "standin";
/// Only its owner may read it.
const MODE: u32 = 0o600;

const HEADER: &str = "\
# standin: the key of a cluster. Keep it secret; it is the same on every node.
# The first key is the one to send with. A second one, `next KEY` or `previous KEY`, is believed
# as well: a rotation is under way, and `standin keygen FILE --rotate` takes its next step.
";

const EXAMPLES: &str = "\
Examples:
  standin keygen
      Write a new key to /etc/standin/key, never over one that is there.
  standin keygen --rotate
      Take the next step from that key to another.

A rotation takes three steps, so that the nodes understand each other all the time. Each --rotate
takes the next one, says which it was and what to do:
  1. learn   a new key is believed; the old one is still the one to send with
  2. switch  the new key is the one to send with; the old one is still believed
  3. forget  the old key is no longer believed
Run it on one node, copy the file to every other one, and run 'standin reload' on all of them. Only
when every node has it, take the next step.";

/// The arguments of `standin keygen`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct KeygenArgs {
    /// The key file
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH)]
    pub file: PathBuf,

    /// Take the next of the three steps from the key in use to a new one
    #[arg(long)]
    pub rotate: bool,
}

/// A key. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

/// The keys of a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one to send with.
    pub current: Key,
    /// Another that is believed as well, while a rotation is under way.
    pub second: Option<(Role, Key)>,
}

/// What the second key of a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To be sent with after the switch.
    Next,
    /// Was sent with before the switch.
    Previous,
}

impl Role {
    /// The word before the key.
    pub fn word(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Previous => "previous",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Next, Self::Previous].into_iter().find(|role| role.word() == word)
    }
}

impl Key {
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

    /// As in the file, in lower case.
    fn digits(&self) -> String {
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
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
        let bytes = regular::read(path, LARGEST_FILE_BYTES + 1)
            .map_err(|error| cannot_read(path, &error))?;
        let text = if bytes.len() as u64 > LARGEST_FILE_BYTES {
            Err(format!("it has more than {LARGEST_FILE_BYTES} bytes"))
        } else {
            str::from_utf8(&bytes).map_err(|_| "it is not text".into())
        };
        text.and_then(Self::parse).map_err(|why| {
            Failure::config(format!("{} is no key file: {why}", path.display()))
                .expected(
                    "a line of 64 hexadecimal digits, and during a rotation a second one, `next` \
                     or `previous` and 64 more",
                )
                .advice("standin keygen makes one")
        })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// A sentence that names the line, never what is in it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut current = None;
        let mut second = None;
        for (number, line) in (1..).zip(text.lines()) {
            let Some((role, key)) = parse_line(number, line)? else { continue };
            match (&current, &second, role) {
                (None, _, None) => current = Some(key),
                (None, _, Some(role)) => {
                    return Err(format!(
                        "line {number} is the {} key, and the one to send with comes first",
                        role.word()
                    ));
                }
                (Some(current), _, _) if *current == key => {
                    return Err(format!("line {number} repeats the key"));
                }
                // Without a word it is what a second key most often is: the old one.
                (Some(_), None, role) => second = Some((role.unwrap_or(Role::Previous), key)),
                (Some(_), Some(_), _) => return Err("there are more than two keys in it".into()),
            }
        }
        let current = current.ok_or("there is no key in it")?;
        Ok(Self { current, second })
    }

    /// The keys of the cluster called `cluster`, ready to send with and to believe: derived from
    /// their digits in lower case, as the core describes it for a file that holds nothing else.
    ///
    /// # Errors
    /// [`KeyError::SameNumber`]: the two keys cannot be told apart in this cluster.
    pub fn ring(&self, cluster: &str) -> std::result::Result<KeyRing, KeyError> {
        let derive = |key: &Key| heartbeat::Key::derive(key.digits().as_bytes(), cluster);
        let current = derive(&self.current)?;
        match &self.second {
            None => Ok(KeyRing::new(current)),
            Some((_, second)) => KeyRing::rotating(current, derive(second)?),
        }
    }

    fn to_text(&self) -> String {
        let current = self.current.digits();
        let second = match &self.second {
            Some((role, key)) => format!("{} {}\n", role.word(), key.digits()),
            None => String::new(),
        };
        format!("{HEADER}{current}\n{second}")
    }

    /// The file that follows this one in a rotation, and the step that leads there.
    fn stepped(self) -> Result<(Step, Self)> {
        Ok(match self.second {
            None => (Step::Learn, Self { second: Some((Role::Next, generate()?)), ..self }),
            Some((Role::Next, next)) => {
                (Step::Switch, Self { current: next, second: Some((Role::Previous, self.current)) })
            }
            Some((Role::Previous, _)) => (Step::Forget, Self { second: None, ..self }),
        })
    }
}

/// What a line says; nothing when it is empty or a comment.
fn parse_line(
    number: usize,
    line: &str,
) -> std::result::Result<Option<(Option<Role>, Key)>, String> {
    let said = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let (role, digits) = match words[..] {
        [] => return Ok(None),
        [word] => match Role::of(word) {
            Some(role) => return Err(format!("line {number} has no key after `{}`", role.word())),
            None => (None, word),
        },
        [word, digits] => match Role::of(word) {
            Some(role) => (Some(role), digits),
            // The word may be a part of a key: it is not shown.
            None => return Err(format!("line {number} begins neither with `next` nor `previous`")),
        },
        [..] => return Err(format!("line {number} has more than a key and what it is for")),
    };
    let Some(key) = Key::parse(digits) else {
        return Err(format!("the key in line {number} is not 64 hexadecimal digits"));
    };
    if key.0.iter().all(|byte| *byte == key.0[0]) {
        return Err(format!("line {number} is no secret: all its bytes are the same"));
    }
    Ok(Some((role, key)))
}

/// Reads a key file for the cluster called `cluster`.
///
/// # Errors
/// It cannot be read, is no key file, or its two keys cannot be told apart in this cluster.
pub fn read_ring(path: &Path, cluster: &str) -> Result<KeyRing> {
    let keys = Keys::read(path)?;
    keys.ring(cluster).map_err(|error| cannot_use(path, &error))
}

/// The failure of a key file whose keys [`Keys::ring`] refused.
pub fn cannot_use(path: &Path, error: &KeyError) -> Failure {
    let shown = path.display();
    let failure = Failure::config(format!("cannot use the keys in {shown}: {error}"));
    match error {
        KeyError::SameNumber(_) => failure.advice(format!(
            "delete its second key on every node, and begin again: standin keygen {shown} --rotate"
        )),
        KeyError::Short(_) => failure,
    }
}

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Learn,
    Switch,
    Forget,
}

impl Step {
    /// What was done, and what comes next, for the file called `shown`.
    fn report(self, shown: &str) -> String {
        let (number, done) = match self {
            Self::Learn => (1, "a new key is believed, the old one is still the one to send with"),
            Self::Switch => (2, "the new key is the one to send with, the old one still believed"),
            Self::Forget => (3, "the old key is no longer believed"),
        };
        let then = match self {
            Self::Learn | Self::Switch => format!(
                "only when every node has it: standin keygen {shown} --rotate, on one node\n"
            ),
            Self::Forget => String::from("the rotation ends with that\n"),
        };
        format!(
            "step {number} of 3, written to {shown}: {done}\n\
             next: copy it to every other node, mode 0600; then on each, this one too: standin \
             reload\n{then}"
        )
    }
}

/// Makes a key file, or with `rotate` takes the next step of a rotation. Says what was done and
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
    let keys = Keys { current, second: None };
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
                    "standin keygen {shown} --rotate begins to exchange its key for a new one"
                ))
        }
        _ => cannot_write(path, &error),
    })?;
    if let Err(error) = fill(&mut file, &keys) {
        // Half a key file would be refused later, and would be in the way now.
        let _ = fs::remove_file(path);
        return Err(cannot_write(path, &error));
    }
    // Only root can give a file away, and only root needs to.
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let given = service_user(&users).is_some_and(|(user, group)| {
        file.metadata().is_ok_and(|made| made.uid() == 0)
            && fchown(&file, Some(user), Some(group)).is_ok()
    });
    let owner = if given { format!(", for the user {SERVICE_USER}") } else { String::new() };
    Ok(format!("wrote a new key to {shown}{owner}\nnext: copy it to every other node, mode 0600\n"))
}

/// The number and the group of the service's user, from the text of `/etc/passwd`.
pub(crate) fn service_user(users: &str) -> Option<(u32, u32)> {
    let lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.into_iter().find(|fields| fields[0] == SERVICE_USER)?;
    Some((found.get(2)?.parse().ok()?, found.get(3)?.parse().ok()?))
}

fn rotate(path: &Path) -> Result<String> {
    let (step, keys) = Keys::read(path)?.stepped()?;
    // A link is followed, so that it stays one.
    let real = fs::canonicalize(path).map_err(|error| cannot_write(path, &error))?;
    replace(&real, &keys).map_err(|error| cannot_write(path, &error))?;
    Ok(step.report(&path.display().to_string()))
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
    } else if let Some(directory) = path.parent() {
        // So that a power cut does not undo what was reported. Not every file system can do it.
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
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

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let what = format!("cannot read the key file {shown}: {}", plain_io(error));
    let failure = Failure::new(Code::Config, what);
    match error.kind() {
        io::ErrorKind::NotFound => {
            failure.advice(format!("standin keygen {shown}, then copy it to the other nodes"))
        }
        io::ErrorKind::PermissionDenied => {
            failure.advice(format!("run it as root; for the service: chown {SERVICE_USER} {shown}"))
        }
        _ => failure,
    }
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
