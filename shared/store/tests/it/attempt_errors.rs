//! What went wrong in each attempt is kept.

use std::time::Duration;

use protocol::{ATTEMPT_ERRORS_MAX, ATTEMPT_MESSAGE_MAX, AttemptErrorClass, JobStatus, WaitingReason};
use store::{Ending, Failure, Resting};

use crate::fixture::{World, workspace};

fn resting(error: Failure) -> Resting {
    Resting {
        reason: WaitingReason::RetryBackoff,
        delay: Duration::ZERO,
        error: Some(error),
        uncount: false,
        keeps_ticket: true,
        in_vain: false,
    }
}

#[tokio::test]
async fn each_attempt_leaves_its_error_with_all_that_is_known_of_it() {
    let world = World::new().await;
    let first = world.running().await;
    let failure = Failure {
        object: Some("deals".parse().unwrap()),
        vendor_request_id: Some("ab12".to_owned()),
        ..Failure::new(AttemptErrorClass::Transient, "HubSpot answered 503")
    };
    let view = world.store.rest_job(&first.lease, &resting(failure)).await.unwrap();
    assert_eq!(view.error.as_deref(), Some("deals: HubSpot answered 503 (vendor request ab12)"));
    let second = world.claimed(first.job.id).await;
    let failure = Failure::new(AttemptErrorClass::Permanent, "é".repeat(ATTEMPT_MESSAGE_MAX + 1));
    let ending = Ending {
        status: JobStatus::Failed,
        error: Some(failure),
        result: None,
        message: "Failed".to_owned(),
    };
    world.store.end_job(&second.lease, &ending).await.unwrap();
    let view = world.store.job(&workspace("acme"), first.job.id).await.unwrap().unwrap();
    let [one, two] = view.attempt_errors.as_slice() else { panic!("{view:?}") };
    assert_eq!((one.attempt, one.class), (1, AttemptErrorClass::Transient));
    assert_eq!(one.object.as_ref().map(|object| object.as_str()), Some("deals"));
    assert_eq!(one.vendor_request_id.as_deref(), Some("ab12"));
    assert_eq!((two.attempt, two.class), (2, AttemptErrorClass::Permanent));
    assert_eq!(two.message.chars().count(), ATTEMPT_MESSAGE_MAX);
    assert!(view.created_at <= one.at && one.at <= two.at && Some(two.at) == view.completed_at, "{view:?}");
}

#[tokio::test]
async fn of_many_attempts_the_newest_errors_are_kept() {
    let world = World::new().await;
    let id = world.accepted().await.id;
    let rounds = ATTEMPT_ERRORS_MAX + 3;
    for round in 1..=rounds {
        let claimed = world.claimed(id).await;
        let error = Failure::new(AttemptErrorClass::SourceQuota, format!("wait {round}"));
        world.store.rest_job(&claimed.lease, &Resting { uncount: true, ..resting(error) }).await.unwrap();
    }
    let view = world.store.job(&workspace("acme"), id).await.unwrap().unwrap();
    let messages: Vec<_> = view.attempt_errors.iter().map(|error| error.message.clone()).collect();
    assert_eq!(messages.len(), ATTEMPT_ERRORS_MAX);
    assert_eq!((messages[0].as_str(), messages[19].as_str()), ("wait 4", "wait 23"));
    assert!(view.attempt_errors.iter().all(|error| error.attempt == 1), "none of them was counted");
}
