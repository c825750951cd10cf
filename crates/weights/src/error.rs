//! Why a checkpoint cannot be read, computed or written.

use std::{io, path::PathBuf};

use domain::{Class, Fault, Item, out_of_descriptors};

/// Everything that goes wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file breaks a rule of its format, or a limit of this registry.
    #[error("{file}: {message}")]
    Malformed {
        /// Stable code of the broken rule.
        code: &'static str,
        file: String,
        message: String,
    },
    /// A file is longer than its limit.
    #[error("{file} has {size} bytes; at most {limit} are accepted")]
    TooLarge { file: String, size: u64, limit: u64 },
    /// A folder holds more files than its limit.
    #[error("{folder} holds more than {limit} files")]
    TooManyFiles { folder: PathBuf, limit: usize },
    /// A symbolic link or a special file where a plain one must be.
    #[error("{path} is {kind}; only plain files and folders are read (`cp -rL` copies what links lead to)")]
    NotPlain { path: PathBuf, kind: &'static str },
    /// Numbers were asked of a format the kernels do not read.
    #[error(
        "tensor `{tensor}` is stored as {dtype}, which is not read as numbers; F8, F16, BF16, F32 and F64 are"
    )]
    UnsupportedDtype { tensor: String, dtype: kernels::Dtype },
    /// The weights are codes of a quantised layout.
    #[error(
        "tensor `{tensor}` shows that the weights are stored as {layout}; such codes are not computed with: name \
         the model they were made from, or dequantise them first"
    )]
    Quantised { layout: String, tensor: String },
    /// The weights are in a file of another format.
    #[error("the weights are in `{file}`: {form}, which is not read; {advice}")]
    Foreign { file: String, form: &'static str, advice: &'static str },
    /// A read left its tensor.
    #[error("a read of `{tensor}` leaves the tensor: bytes {begin}..{end} of {size}")]
    OutOfRange { tensor: String, begin: u64, end: u64, size: u64 },
    /// No tensor has this position.
    #[error("there is no tensor at position {index}; the checkpoint has {count}")]
    NoTensor { index: usize, count: usize },
    /// Computed values do not fit their number format.
    #[error("{count} values of tensor `{tensor}` leave the range of {dtype}; {advice}")]
    Overflow { tensor: String, count: u64, dtype: kernels::Dtype, advice: String },
    /// An adapter cannot be applied to its base; every reason at once.
    #[error("the adapter cannot be applied to this base: {}", list(.0))]
    Adapter(Vec<Item>),
    /// The caller asked to stop.
    #[error("stopped on request")]
    Stopped,
}

/// Why a file that is no local one cannot be read; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReadFault {
    /// Stable code.
    pub code: &'static str,
    pub class: Class,
    /// Seconds after which whoever refused may be asked again, where it said so.
    pub wait: Option<u64>,
    pub message: String,
}

impl ReadFault {
    fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Io(source) => source.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

fn list(items: &[Item]) -> String {
    let shown = items.iter().take(5).map(|item| format!("{}: {}", item.pointer, item.message));
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if items.len() > 5 {
        text.push_str(&format!("; and {} more", items.len() - 5));
    }
    text
}

impl Error {
    /// The same of a file of a folder: with several models a file's name alone does not say whose it is.
    #[must_use]
    pub fn within(self, folder: &str) -> Self {
        let at = |file: String| format!("{}/{file}", folder.trim_end_matches('/'));
        match self {
            Self::Malformed { code, file, message } => Self::Malformed { code, file: at(file), message },
            Self::TooLarge { file, size, limit } => Self::TooLarge { file: at(file), size, limit },
            Self::Foreign { file, form, advice } => Self::Foreign { file: at(file), form, advice },
            Self::Quantised { layout, tensor } => Self::Quantised { layout, tensor: at(tensor) },
            Self::UnsupportedDtype { tensor, dtype } => Self::UnsupportedDtype { tensor: at(tensor), dtype },
            other => other,
        }
    }

    pub(crate) fn malformed(code: &'static str, file: &str, message: impl Into<String>) -> Self {
        Self::Malformed { code, file: file.to_owned(), message: message.into() }
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        if let Some(fault) = ReadFault::of(self) {
            return fault.code;
        }
        match self {
            Self::Io(source) if source.kind() == io::ErrorKind::NotFound => "not_found",
            Self::Io(source) if source.kind() == io::ErrorKind::InvalidData => "invalid_data",
            Self::Io(_) => "io",
            Self::Malformed { code, .. } => code,
            Self::TooLarge { .. } => "file_too_large",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::NotPlain { .. } => "not_a_plain_file",
            Self::UnsupportedDtype { .. } => "unsupported_dtype",
            Self::Quantised { .. } => "quantised_layout",
            Self::Foreign { .. } => "weights_format",
            Self::OutOfRange { .. } | Self::NoTensor { .. } => "out_of_range",
            Self::Overflow { .. } => "values_too_large",
            Self::Adapter(_) => "adapter_mismatch",
            Self::Stopped => "stopped",
        }
    }

    fn class(&self) -> Class {
        if let Some(fault) = ReadFault::of(self) {
            return fault.class;
        }
        match self {
            Self::Io(source) if source.kind() == io::ErrorKind::NotFound => Class::NotFound,
            Self::Io(source) if source.kind() == io::ErrorKind::InvalidData => Class::Invalid,
            Self::Io(source) if source.kind() == io::ErrorKind::StorageFull || out_of_descriptors(source) => {
                Class::Unavailable
            }
            Self::Io(_) | Self::OutOfRange { .. } | Self::NoTensor { .. } => Class::Internal,
            Self::Malformed { .. } | Self::NotPlain { .. } | Self::Overflow { .. } | Self::Adapter(_) => {
                Class::Invalid
            }
            Self::TooLarge { .. } | Self::TooManyFiles { .. } => Class::TooLarge,
            Self::UnsupportedDtype { .. } | Self::Quantised { .. } | Self::Foreign { .. } => {
                Class::Unsupported
            }
            Self::Stopped => Class::Conflict,
        }
    }

    fn wait(&self) -> Option<u64> {
        ReadFault::of(self)?.wait
    }

    fn items(&self) -> Vec<Item> {
        match self {
            Self::Adapter(items) => items.clone(),
            Self::Malformed { file, message, .. } => {
                vec![Item { pointer: file.clone(), message: message.clone() }]
            }
            _ => Vec::new(),
        }
    }

    fn subject(&self) -> &'static str {
        "the adapter"
    }
}
