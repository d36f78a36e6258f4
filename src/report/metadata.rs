//! The digests of a release as a file, for what signs and deploys: keyed by target, with buildx's keys where they mean
//! the same. Pure.

use serde_json::{Map, Value, json};

use crate::apply::Applied;
use crate::plan::{PlannedList, TargetPlan};

/// What was published, whether this run wrote it or found it there. `plans` are those that were carried out.
pub(crate) fn json(applied: &[Applied], plans: &[impl AsRef<TargetPlan>]) -> Value {
    let targets: Map<String, Value> = applied
        .iter()
        .map(|target| {
            let plan = plans.iter().map(AsRef::as_ref).find(|plan| plan.target == target.target);
            (target.target.clone(), target_json(target, plan))
        })
        .collect();
    targets.into()
}

fn target_json(target: &Applied, plan: Option<&TargetPlan>) -> Value {
    let mut names = Vec::new();
    let places: Vec<Value> = target
        .places
        .iter()
        .map(|place| {
            let served = place.tags.iter().filter(|tag| tag.outcome.serves());
            let references: Vec<String> =
                served.map(|tag| place.repository.tag(&tag.name).to_string()).collect();
            names.extend(references.iter().cloned());
            json!({ "repository": place.repository.to_string(), "digest": place.digest, "references": references })
        })
        .collect();
    let list = plan.and_then(|plan| plan.places.first()).and_then(|place| place.list.as_ref());
    json!({
        "containerimage.digest": target.places.first().map(|place| &place.digest),
        "containerimage.descriptor": list.map(descriptor),
        "image.name": names.join(","),
        // A registry that held a list of the other type has kept it, and another digest with it.
        "manifests.repositories": places,
    })
}

fn descriptor(list: &PlannedList) -> Value {
    json!({ "mediaType": list.kind.media_type(), "digest": list.digest, "size": list.bytes.len() })
}
