use protocol::JobStatus;
use store::Ending;

use crate::fixture::{World, deal, deals, progress};

#[tokio::test]
async fn the_audit_has_each_change_with_who_made_it_and_in_which_transaction() {
    let world = World::new().await;
    world.store.install_audit().await.unwrap();
    let claimed = world.running().await;
    let page = deals(vec![deal("1", "10"), deal("2", "20")]);
    world.store.commit_pages(&claimed.lease, &[page], &progress(2)).await.unwrap();
    // A heartbeat is no change.
    world.store.renew_lease(&claimed.lease).await.unwrap();
    assert_eq!(world.store.active_job_count().await.unwrap(), 1);
    let ending =
        Ending { status: JobStatus::Completed, error: None, result: None, message: "Done".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();

    let jobs = world.store.audited_jobs().await.unwrap();
    let statuses: Vec<_> = jobs.iter().map(|change| change.status.as_str()).collect();
    assert_eq!(statuses, ["pending", "running", "running", "completed"]);
    assert!(jobs.is_sorted_by(|a, b| a.revision < b.revision && a.seq < b.seq && a.at <= b.at));
    assert!(jobs.iter().all(|change| change.writer == "store-test" && change.job_id == claimed.job.id.0));
    let [_, claim, fence, end] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((claim.token_before, claim.holder.as_deref()), (None, Some("worker-1")));
    assert_eq!((fence.token_before, fence.token), (Some(claimed.lease.token), Some(claimed.lease.token)));
    assert_eq!((end.holder_before.as_deref(), end.token), (Some("worker-1"), None));

    let cursors = world.store.audited_cursors().await.unwrap();
    let [cursor] = &cursors[..] else { panic!("{cursors:?}") };
    assert_eq!((cursor.txid, cursor.job_id), (fence.txid, fence.job_id), "the fence is in its transaction");
    assert_eq!((cursor.listed, cursor.written, cursor.pages, cursor.done), (2, 2, 1, false));
    assert!(cursor.position.is_some());

    let all = world.store.all_jobs().await.unwrap();
    assert_eq!((all[0].id, all[0].status.as_str(), all[0].attempts), (claimed.job.id.0, "completed", 1));
    assert_eq!(world.store.active_job_count().await.unwrap(), 0);
}
