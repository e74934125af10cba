//! A vendor's flat object of fields, borrowed from the text it came in.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::columns;
use crate::http::public_text;
use crate::jsonb::scalar;

/// As much of a bad value is quoted, in characters.
const QUOTED_MAX: usize = 100;
/// Fields that are made room for at first.
const FIELDS_EXPECTED: usize = 32;

/// The fields of a record: scalars only. Nothing is copied.
#[derive(Debug)]
pub(crate) struct Properties<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A field whose value cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadField(String);

impl BadField {
    /// `wanted` says what it should be: `a number`.
    pub(crate) fn new(field: &str, value: &str, wanted: &str) -> Self {
        let mut quoted: String = value.chars().take(QUOTED_MAX).collect();
        if quoted.len() < value.len() {
            quoted.push('…');
        }
        Self(format!("`{}` is not {wanted}: \"{}\"", public_text(field, &[]), public_text(&quoted, &[])))
    }
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Properties<'a> {
    /// Reads an object of scalars.
    ///
    /// # Errors
    /// If it is no object, or holds what `jsonb` could refuse: nesting of any depth, numbers of any size.
    pub(crate) fn read(json: &'a str) -> Result<Self, BadField> {
        let properties: Self =
            serde_json::from_str(json).map_err(|_| BadField::new("properties", json, "an object"))?;
        for (name, value) in &properties.0 {
            let storable = match value.get().as_bytes() {
                [b'"' | b'n' | b't' | b'f', ..] => true,
                [b'{' | b'[', ..] => false,
                _ => columns::decimal(value.get()).is_some(),
            };
            if !storable {
                return Err(BadField::new(name, value.get(), "a text"));
            }
        }
        Ok(properties)
    }

    /// A field as text; `None` if it is missing, null or empty.
    ///
    /// # Errors
    /// If its text cannot be read.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadField> {
        // The last one of that name is the one that `jsonb` keeps.
        let Some((_, raw)) = self.0.iter().rfind(|(other, _)| other == name) else { return Ok(None) };
        scalar(raw).map_err(|_| BadField::new(name, raw.get(), "a text"))
    }

    /// A field read by `parse`; `None` if it is missing, null or blank.
    ///
    /// # Errors
    /// If `parse` gives nothing; `wanted` says what it should have been.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BadField> {
        match self.text(name)? {
            Some(text) if !text.trim().is_empty() => {
                parse(&text).map(Some).ok_or_else(|| BadField::new(name, &text, wanted))
            }
            _ => Ok(None),
        }
    }
}

/// A key; borrowed unless it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
                let mut fields = Vec::with_capacity(FIELDS_EXPECTED);
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Properties(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
