//! What serde says of a field that it does not know, in words that help.

/// A field that is not known.
pub(crate) struct UnknownField {
    /// The field with those above it.
    pub(crate) path: String,
    /// The known name that was probably meant.
    pub(crate) near: Option<String>,
}

impl UnknownField {
    /// Reads the message of serde; none when it is about something else.
    pub(crate) fn of(path: Option<&str>, message: &str) -> Option<Self> {
        let unknown = message.strip_prefix("unknown field ")?;
        let (name, known) = unknown.split_once(", expected ").unwrap_or((unknown, ""));
        let name = name.trim_matches('`');
        let path = match path {
            Some(path) if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
            Some(path) => format!("{path}.{name}"),
            None => name.to_owned(),
        };
        Some(Self { path, near: nearest(name, known) })
    }
}

/// The path to a field, if what is wrong is within one.
pub(crate) fn path_of(path: &serde_path_to_error::Path) -> Option<String> {
    Some(path.to_string()).filter(|path| path != "." && path != "?")
}

/// The known name that differs least, if it differs by two letters at most.
fn nearest(name: &str, known: &str) -> Option<String> {
    let names = known.split('`').skip(1).step_by(2);
    let distances = names.map(|known| (strsim::damerau_levenshtein(name, known), known));
    distances.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known.to_owned())
}
