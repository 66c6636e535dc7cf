//! Enumerations whose values are one word each in the API, the database, the log and the metrics.

/// `Display` and `FromStr`, made from the `ALL` and `as_str` of each type.
macro_rules! words {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.into_iter().find(|value| value.as_str() == text).ok_or_else(|| {
                    format!("must be one of {}", Self::ALL.map(Self::as_str).join(", "))
                })
            }
        }
    )*};
}

pub(super) use words;
