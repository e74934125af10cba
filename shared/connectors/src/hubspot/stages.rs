//! The stages of the pipelines that deals go through: all of them in one answer.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::{Fields, Record, Rejected, StageFields};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::Api;
use super::objects::VERSION;
use super::page::Records;
use super::{small, transform};
use crate::budget::Budget;
use crate::http::Unreadable;
use crate::{Next, Page, SourceError, columns};

/// The name of the object.
pub(super) const NAME: &str = "stages";

#[derive(Deserialize)]
struct Pipelines<'a> {
    #[serde(borrow)]
    results: Vec<Pipeline<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pipeline<'a> {
    id: String,
    label: Option<String>,
    display_order: Option<i64>,
    #[serde(default)]
    archived: bool,
    #[serde(borrow)]
    stages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stage<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    label: Option<String>,
    display_order: Option<i64>,
    metadata: Option<Metadata>,
    created_at: Option<String>,
    updated_at: Option<String>,
    #[serde(default)]
    archived: bool,
}

/// Texts, whatever they mean.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    is_closed: Option<String>,
    probability: Option<String>,
}

impl Api {
    /// All stages of all pipelines of deals. One that is not there any more is gone, although deals may still point
    /// to it.
    pub(super) async fn stages(&self, budget: &Arc<Budget>) -> Result<Page, SourceError> {
        let request = self.request(Method::GET, &format!("/crm/{VERSION}/pipelines/deals"));
        let Records { records, rejected } = self.call(request, budget, read).await?;
        Ok(small::page(records, rejected, true, Next::Done { checkpoint: None }))
    }
}

fn read(body: &[u8]) -> Result<Records, Unreadable> {
    let answer: Pipelines<'_> = serde_json::from_slice(body)?;
    let mut records = Records::default();
    for pipeline in answer.results.iter().filter(|pipeline| !pipeline.archived) {
        for raw in &pipeline.stages {
            match record(pipeline, raw) {
                Ok(Some(record)) => records.records.push(record),
                Ok(None) => {}
                Err(rejected) => records.rejected.push(rejected),
            }
        }
    }
    Ok(records)
}

fn record(pipeline: &Pipeline<'_>, raw: &RawValue) -> Result<Option<Record>, Rejected> {
    let reject = |id: &str, reason: &str| small::rejected(raw, id, reason, true);
    let Ok(stage) = serde_json::from_str::<Stage<'_>>(raw.get()) else {
        return Err(reject("", "it is not a JSON object with the fields of a stage"));
    };
    let Some(id) = stage.id.and_then(transform::id).map(Cow::into_owned) else {
        return Err(reject("", "it has no id"));
    };
    if stage.archived {
        return Ok(None);
    }
    let metadata = stage.metadata.unwrap_or_default();
    let probability = small::text(metadata.probability);
    if probability.as_deref().is_some_and(|text| columns::decimal(text).is_none()) {
        return Err(reject(&id, "`probability` is not a number"));
    }
    let (Ok(source_created_at), Ok(source_updated_at)) =
        (small::time(stage.created_at.as_deref()), small::time(stage.updated_at.as_deref()))
    else {
        return Err(reject(&id, "`createdAt` or `updatedAt` is not a date"));
    };
    let fields = StageFields {
        name: small::text(stage.label),
        position: stage.display_order,
        probability: probability.as_deref().and_then(columns::decimal),
        is_closed: metadata.is_closed.as_deref().and_then(columns::boolean),
        pipeline: Some(pipeline.id.clone()),
        pipeline_name: small::text(pipeline.label.clone()),
        pipeline_position: pipeline.display_order,
    };
    // The pipeline's part of the columns is not in the stage's own JSON, and must count as content, too.
    let properties = serde_json::json!({
        "stage": serde_json::from_str::<serde_json::Value>(&small::properties(raw)).unwrap_or_default(),
        "pipeline": {"id": pipeline.id, "label": pipeline.label, "displayOrder": pipeline.display_order},
    });
    Ok(Some(Record {
        external_id: id,
        fields: Fields::Stage(fields),
        properties: crate::jsonb::jsonb_safe(&properties.to_string()).into_owned(),
        source_created_at,
        source_updated_at,
        deleted_at: None,
        merged_ids: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_a_name_a_probability_and_a_place_in_its_pipeline() {
        let body = br#"{"results":[
            {"id":"default","label":"Sales","displayOrder":2,"archived":false,"stages":[
                {"id":"closedwon","label":"Won","displayOrder":5,"metadata":{"isClosed":"true","probability":"1.0"}},
                {"id":"7","label":"Odd","displayOrder":6,"metadata":{"probability":"likely"}},
                {"id":"8","label":"Old","archived":true}]},
            {"id":"old","label":"Old","archived":true,"stages":[{"id":"9"}]}]}"#;
        let Records { records, rejected } = read(body).unwrap();
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!(record.external_id, "closedwon");
        let expected = StageFields {
            name: Some("Won".into()),
            position: Some(5),
            probability: Some("1.0".into()),
            is_closed: Some(true),
            pipeline: Some("default".into()),
            pipeline_name: Some("Sales".into()),
            pipeline_position: Some(2),
        };
        assert_eq!(record.fields, Fields::Stage(expected));
        assert_eq!(
            (rejected[0].external_id.as_str(), rejected[0].reason.as_str()),
            ("7", "`probability` is not a number")
        );
    }

    #[test]
    fn a_pipeline_that_is_renamed_changes_its_stages() {
        let body = |label: &str| {
            format!(r#"{{"results":[{{"id":"p","label":"{label}","stages":[{{"id":"s"}}]}}]}}"#)
        };
        let properties = |label| read(body(label).as_bytes()).unwrap().records[0].properties.clone();
        assert_ne!(properties("Sales"), properties("Verkauf"));
    }
}
