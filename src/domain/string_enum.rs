//! Enumerations that are one word each in API, database, log and metrics.

/// `Display` and `FromStr` out of the `ALL` and `as_str` of a type.
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
