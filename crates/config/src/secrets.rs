//! Credentials: from files or the environment, never from flags or the configuration.
//!
//! Looked for in this order: `$CREDENTIALS_DIRECTORY/<name>` (systemd), the file that
//! `[credentials]` names, the variable `SUBAH_<NAME>`. Nothing here can print itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::NumberId;
use secrecy::SecretString;

use super::numbers::EndpointFiles;

#[derive(Clone, Debug, Default)]
pub struct CredentialFiles {
    pub meta_token: Option<PathBuf>,
    pub app_secret: Option<PathBuf>,
    /// Still accepted on webhooks while the secret is being rotated.
    pub app_secret_previous: Option<PathBuf>,
    pub verify_token: Option<PathBuf>,
    /// Of numbers that have a token of their own.
    pub number_tokens: BTreeMap<NumberId, PathBuf>,
    pub endpoints: Vec<EndpointFiles>,
}

#[derive(Clone, Debug)]
pub struct Credentials {
    pub meta_token: SecretString,
    /// The present one first.
    pub app_secrets: Vec<SecretString>,
    pub verify_token: SecretString,
    pub number_tokens: BTreeMap<NumberId, SecretString>,
    /// In the order of [`CredentialFiles::endpoints`].
    pub endpoints: Vec<EndpointSecrets>,
}

/// What one more endpoint believes.
#[derive(Clone, Debug)]
pub struct EndpointSecrets {
    /// The present one first.
    pub app_secrets: Vec<SecretString>,
    pub verify_token: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub enum NoCredential {
    #[error(
        "credential {name} is missing: put it into a file named by credentials.{name}, or into {variable}, or load it with systemd's LoadCredential={name}:FILE"
    )]
    Missing { name: &'static str, variable: String },
    #[error("credential {name}: read {path}")]
    Unreadable {
        name: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "credential {name}: {path} can be read by every user of this machine: chmod 600 {path}"
    )]
    Open { name: &'static str, path: PathBuf },
    #[error("credential {name}: {place} is empty")]
    Empty { name: &'static str, place: String },
}

impl CredentialFiles {
    /// The token of one number, or the general one.
    ///
    /// # Errors
    /// When it is missing, unreadable, empty, or open to every user.
    pub fn token(&self, number: Option<&NumberId>) -> Result<SecretString, NoCredential> {
        match number.and_then(|number| self.number_tokens.get(number)) {
            Some(file) => named("token_file", file),
            None => find("meta_token", self.meta_token.as_deref()),
        }
    }
}

impl Credentials {
    /// # Errors
    /// The first credential that is missing, unreadable or empty.
    pub fn load(files: &CredentialFiles) -> Result<Self, NoCredential> {
        let mut app_secrets = vec![find("app_secret", files.app_secret.as_deref())?];
        match find("app_secret_previous", files.app_secret_previous.as_deref()) {
            Ok(previous) => app_secrets.push(previous),
            // The unit always passes one; it is empty while nothing is being rotated.
            Err(NoCredential::Missing { .. } | NoCredential::Empty { .. }) => {}
            Err(error) => return Err(error),
        }
        let endpoint = |files: &EndpointFiles| {
            let mut app_secrets = vec![named("app_secret_file", &files.app_secret)?];
            let previous = files.app_secret_previous.as_deref();
            if let Some(file) = previous {
                app_secrets.extend(rotated(file)?);
            }
            Ok(EndpointSecrets {
                app_secrets,
                verify_token: named("verify_token_file", &files.verify_token)?,
            })
        };
        let token = |number: &NumberId| Ok((number.clone(), files.token(Some(number))?));
        Ok(Credentials {
            number_tokens: files.number_tokens.keys().map(token).collect::<Result<_, _>>()?,
            endpoints: files.endpoints.iter().map(endpoint).collect::<Result<_, _>>()?,
            meta_token: files.token(None)?,
            verify_token: find("verify_token", files.verify_token.as_deref())?,
            app_secrets,
        })
    }
}

fn place(name: &str, file: Option<&Path>) -> Option<PathBuf> {
    let systemd = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join(name));
    systemd.filter(|path| path.exists()).or_else(|| file.map(Path::to_owned))
}

/// A secret that is being replaced: an empty file, or none, where nothing is.
fn rotated(file: &Path) -> Result<Option<SecretString>, NoCredential> {
    match named("app_secret_previous_file", file) {
        Err(NoCredential::Empty { .. }) => Ok(None),
        Err(NoCredential::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// A file that the configuration names; systemd may have loaded it under its own name.
///
/// # Errors
/// When it cannot be read, is empty, or every user can read it.
pub fn named(name: &'static str, file: &Path) -> Result<SecretString, NoCredential> {
    let own = file.file_name().map(|own| own.to_string_lossy()).unwrap_or_default();
    closed(name, place(&own, None).unwrap_or_else(|| file.to_owned()))
}

/// Reads a file that not every user can read.
fn closed(name: &'static str, path: PathBuf) -> Result<SecretString, NoCredential> {
    let unreadable = |source| NoCredential::Unreadable { name, path: path.clone(), source };
    if is_open_to_all(&path).map_err(unreadable)? {
        return Err(NoCredential::Open { name, path });
    }
    read_file(name, &path)
}

fn find(name: &'static str, file: Option<&Path>) -> Result<SecretString, NoCredential> {
    if let Some(path) = place(name, file) {
        return closed(name, path);
    }
    let variable = format!("SUBAH_{}", name.to_uppercase());
    match std::env::var(&variable) {
        Ok(text) if text.trim().is_empty() => Err(NoCredential::Empty { name, place: variable }),
        Ok(text) => Ok(SecretString::from(text.trim().to_owned())),
        Err(_) => Err(NoCredential::Missing { name, variable }),
    }
}

/// Reads one secret; surrounding white space is not part of it.
///
/// # Errors
/// When the file cannot be read or is empty.
pub fn read_file(name: &'static str, path: &Path) -> Result<SecretString, NoCredential> {
    let unreadable = |source| NoCredential::Unreadable { name, path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    match text.trim() {
        "" => Err(NoCredential::Empty { name, place: path.display().to_string() }),
        secret => Ok(SecretString::from(secret.to_owned())),
    }
}

/// Anybody can read the file, and reach it through its folders.
fn is_open_to_all(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let path = path.canonicalize()?;
    let mode = |path: &Path| std::fs::metadata(path).map(|seen| seen.permissions().mode());
    if mode(&path)? & 0o004 == 0 {
        return Ok(false);
    }
    let reachable = |folder: &Path| mode(folder).is_ok_and(|mode| mode & 0o001 != 0);
    Ok(path.ancestors().skip(1).all(reachable))
}
