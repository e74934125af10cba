use protocol::JobStatus;
use store::{Ending, PageBatch};

use crate::fixture::{World, deal, deals, progress, rejected};

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

#[tokio::test]
async fn the_audit_has_each_transaction_that_wrote_rows_with_or_without_the_fence() {
    let world = World::new().await;
    world.store.install_audit().await.unwrap();
    let claimed = world.running().await;
    let job = claimed.job.id.0;
    let page = || PageBatch {
        rejected: vec![rejected("3", "no date")],
        ..deals(vec![deal("1", "10"), deal("2", "20")])
    };
    let fence = async || world.store.audited_jobs().await.unwrap().last().unwrap().txid;
    world.store.commit_pages(&claimed.lease, &[page()], &progress(3)).await.unwrap();
    let first = fence().await;
    // Deals that are equal are not written again; the captured record is.
    world.store.commit_pages(&claimed.lease, &[page()], &progress(3)).await.unwrap();
    let second = fence().await;
    world.run("UPDATE deals SET amount = amount + 1").await;
    world.run("DELETE FROM deals WHERE external_id = '2'").await;
    world.run("UPDATE record_errors SET job_id = gen_random_uuid()").await;
    world.run("UPDATE record_errors SET reason = 'another'").await;

    let all = world.store.audited_rows().await.unwrap();
    let lines: Vec<_> = all.iter().map(|line| (line.relation.as_str(), line.op.as_str())).collect();
    let [insert, capture, again, update, delete, adopt, tamper] = &all[..] else { panic!("{lines:?}") };
    assert_eq!(lines[..3], [("deals", "insert"), ("record_errors", "insert"), ("record_errors", "update")]);
    assert_eq!((insert.txid, capture.txid, again.txid), (first, first, second));
    assert!(
        [insert, capture, again].iter().all(|line| line.job_id == Some(job) && line.writer == "store-test")
    );
    assert_eq!(
        lines[3..],
        [("deals", "update"), ("deals", "delete"), ("record_errors", "adopt"), ("record_errors", "update")]
    );
    assert_eq!((update.job_id, delete.job_id, tamper.job_before), (Some(job), None, None));
    assert_eq!((adopt.job_before, adopt.job_id), (Some(job), tamper.job_id));
    assert!(all.iter().all(|line| line.workspace_id == "acme"));
    assert!([update, delete, adopt, tamper].iter().all(|line| line.txid != first && line.txid != second));
}
