//! The order of results, and where a page goes on.

/// What comes first; on a tie the model that came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Most downloaded.
    #[default]
    Downloads,
    /// Newest.
    Created,
    /// Last changed.
    Modified,
    /// Most liked.
    Likes,
    /// Most weights.
    Parameters,
    /// First by name.
    Name,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Downloads, Self::Created, Self::Modified, Self::Likes, Self::Parameters, Self::Name];

    /// The word in addresses and cursors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Likes => "likes",
            Self::Parameters => "parameters",
            Self::Name => "name",
        }
    }
}

/// The last model of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// By value and number.
    Value(i64, i64),
    /// By name in lower case.
    Key(String),
}

impl After {
    /// Reads `order.value.number` or `name.key`.
    pub fn read(cursor: &str, order: Order) -> Option<Self> {
        let rest = cursor.strip_prefix(order.as_str())?.strip_prefix('.')?;
        if order == Order::Name {
            return Some(Self::Key(rest.to_owned()));
        }
        let (value, id) = rest.split_once('.')?;
        Some(Self::Value(value.parse().ok()?, id.parse().ok()?))
    }

    /// The cursor that [`Self::read`] reads.
    pub fn cursor(&self, order: Order) -> String {
        match self {
            Self::Value(value, id) => format!("{}.{value}.{id}", order.as_str()),
            Self::Key(key) => format!("{}.{key}", order.as_str()),
        }
    }
}
