//! What a command has to say once it has done its work. How that is written is decided by `main`.

/// Output of a command, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// For standard output.
    pub data: String,
    /// For standard error.
    pub notes: String,
    /// Whether the exit code is 0.
    pub is_right: bool,
}
