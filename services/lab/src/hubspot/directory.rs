//! What the lab's accounts know besides records: their time zones, owners and pipelines.

use std::collections::BTreeMap;

use super::data::{OWNERS, PIPELINES};

/// When owners and pipelines were made: 2019-01-01.
pub(super) const MADE_MS: i64 = 1_546_300_800_000;

/// Time zones by portal; owners and pipelines are the same for all of them.
#[derive(Debug)]
pub(crate) struct Directory {
    zones: BTreeMap<u64, Zone>,
    /// In order of id.
    owners: Vec<Owner>,
    pipelines: Vec<Pipeline>,
}

/// Where an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) utc_offset_min: i32,
}

#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) id: u64,
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) email: &'static str,
    pub(super) archived: bool,
    pub(super) updated_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) probability: String,
}

impl Default for Directory {
    fn default() -> Self {
        let old_timer = (55_001, "Old", "Timer", "old@lab.test");
        let owner = |(id, first_name, last_name, email), archived| Owner {
            id,
            first_name,
            last_name,
            email,
            archived,
            updated_ms: MADE_MS,
        };
        let live = OWNERS.iter().map(|known| owner(*known, false));
        let mut owners: Vec<Owner> = live.chain([owner(old_timer, true)]).collect();
        owners.sort_by_key(|owner| owner.id);
        let pipelines = PIPELINES.iter().map(|(id, label, stages)| Pipeline {
            id,
            label,
            stages: stages
                .iter()
                .map(|(id, label, probability)| Stage::new(id, label, probability))
                .collect(),
        });
        Self { zones: BTreeMap::new(), owners, pipelines: pipelines.collect() }
    }
}

impl Stage {
    fn new(id: &str, label: &str, probability: &str) -> Self {
        Self { id: id.to_owned(), label: label.to_owned(), probability: probability.to_owned() }
    }
}

impl Directory {
    /// How many owners there are, deactivated ones included.
    pub(crate) fn owner_count(&self) -> u64 {
        self.owners.len() as u64
    }

    /// How many stages all pipelines have.
    pub(crate) fn stage_count(&self) -> u64 {
        self.pipelines.iter().map(|pipeline| pipeline.stages.len() as u64).sum()
    }

    /// UTC unless it was set.
    pub(super) fn zone(&self, portal: u64) -> Zone {
        let utc = || Zone { name: "UTC".to_owned(), utc_offset_min: 0 };
        self.zones.get(&portal).cloned().unwrap_or_else(utc)
    }

    pub(crate) fn set_zone(&mut self, portal: u64, zone: Zone) {
        self.zones.insert(portal, zone);
    }

    pub(super) fn owners(&self, archived: bool) -> impl Iterator<Item = &Owner> {
        self.owners.iter().filter(move |owner| owner.archived == archived)
    }

    /// Moves an owner to the archived ones or back; says whether there is such an owner.
    pub(crate) fn set_owner_archived(&mut self, id: u64, archived: bool, now_ms: i64) -> bool {
        let Some(owner) = self.owners.iter_mut().find(|owner| owner.id == id) else { return false };
        if owner.archived != archived {
            owner.archived = archived;
            owner.updated_ms = now_ms;
        }
        true
    }

    pub(super) fn pipelines(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// Puts a stage at the end of a pipeline, or gives it a new label and probability; says whether there is such a
    /// pipeline.
    pub(crate) fn put_stage(&mut self, pipeline: &str, id: &str, label: &str, probability: &str) -> bool {
        let Some(pipeline) = self.pipelines.iter_mut().find(|known| known.id == pipeline) else {
            return false;
        };
        let stage = Stage::new(id, label, probability);
        match pipeline.stages.iter_mut().find(|known| known.id == id) {
            Some(known) => *known = stage,
            None => pipeline.stages.push(stage),
        }
        true
    }

    /// Takes a stage out of a pipeline, whatever deals are in it; says whether it was there.
    pub(crate) fn remove_stage(&mut self, pipeline: &str, id: &str) -> bool {
        let Some(pipeline) = self.pipelines.iter_mut().find(|known| known.id == pipeline) else {
            return false;
        };
        let before = pipeline.stages.len();
        pipeline.stages.retain(|stage| stage.id != id);
        pipeline.stages.len() < before
    }
}
