//! Macros that implement the traits of poem-openapi for values: the schema of a value, and how it looks in JSON. Which
//! values there are is not here.

/// Implements [`Type`](::poem_openapi::types::Type) for a type that is a single value. `$schema_ref` refers to its
/// schema, and `$register` registers that schema.
macro_rules! value_type {
    ($type:ty, $name:literal, $schema_ref:expr, $register:expr) => {
        impl ::poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = true;

            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
                $schema_ref
            }

            fn register(registry: &mut ::poem_openapi::registry::Registry) {
                let register: fn(&mut ::poem_openapi::registry::Registry) = $register;
                register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }
    };
}

/// A type whose schema is written out wherever the type is used.
macro_rules! inline_type {
    ($type:ty, $name:literal, $schema:expr) => {
        value_type!($type, $name, ::poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema)), |_| {});
    };
}

/// JSON for a type that is a string on the wire: `Display` writes the string, and `FromStr` reads it.
macro_rules! text_json {
    ($type:ty) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl ::poem_openapi::types::ToJSON for $type {
            fn to_json(&self) -> Option<::serde_json::Value> {
                Some(::serde_json::Value::String(self.to_string()))
            }
        }

        impl ::poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(value: Option<::serde_json::Value>) -> ::poem_openapi::types::ParseResult<Self> {
                match value {
                    Some(::serde_json::Value::String(text)) => {
                        text.parse().map_err(::poem_openapi::types::ParseError::<Self>::custom)
                    }
                    other => Err(::poem_openapi::types::ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }
    };
}

/// A string type and its schema.
macro_rules! text {
    ($type:ty, $name:literal, $schema:expr) => {
        inline_type!($type, $name, $schema);
        text_json!($type);
    };
}
