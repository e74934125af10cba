use serde_json::Value;

use super::Object;
use super::data::Property;

/// The parameters of a list request.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) limit: u64,
    pub(super) after: u64,
    pub(super) archived: bool,
    pub(super) properties: Vec<&'static Property>,
}

impl ListQuery {
    pub(super) fn parse(object: Object, pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Self { limit: 10, after: 0, archived: false, properties: Vec::new() };
        let mut wanted: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => query.limit = limit(value, 100)?,
                "after" => {
                    query.after =
                        value.parse().map_err(|_| format!("Invalid value for parameter after: {value}"))?;
                }
                "archived" => {
                    query.archived = value
                        .parse()
                        .map_err(|_| format!("Invalid value for parameter archived: {value}"))?;
                }
                "properties" => {
                    wanted.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()))
                }
                // Ignoring these would let a client believe that it gets what it asked for.
                "associations" | "propertiesWithHistory" if !value.is_empty() => {
                    return Err(format!("The lab does not serve `{name}`."));
                }
                _ => {}
            }
        }
        query.properties = select(object, &wanted);
        Ok(query)
    }
}

pub(super) fn limit(value: &str, max: u64) -> Result<u64, String> {
    match value.parse() {
        Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
        Ok(limit) => Err(format!("The requested limit {limit} is not between 1 and {max}.")),
        Err(_) => Err(format!("Invalid value for parameter limit: {value}")),
    }
}

/// Unknown names are dropped without a word; no names at all means the defaults.
pub(super) fn select(object: Object, wanted: &[&str]) -> Vec<&'static Property> {
    let is_wanted = |property: &&Property| {
        if wanted.is_empty() {
            property.by_default
        } else {
            wanted.contains(&property.name) || property.always()
        }
    };
    object.properties().iter().filter(is_wanted).collect()
}

/// The live service takes numbers and strings alike.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
