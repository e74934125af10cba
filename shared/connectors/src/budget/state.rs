//! All that decides whether a request may be sent. Pure: the time is handed in.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::pacer::Pacer;
use super::quota_share::QuotaShare;
use super::rules::ClassRules;
use super::window::WindowLog;

/// The longest the vendor's word to wait is believed: a day, the longest documented wait (HubSpot 477).
pub(super) const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that may leave together when their turns were not taken before. A step of a slow account makes several at
/// once and then waits for all of them; the window holds whatever the pacer lets pass.
const PACED_TOGETHER: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The state of a budget.
#[derive(Debug)]
pub(super) struct State {
    rules: ClassRules,
    share: QuotaShare,
    /// What the vendor last said that it allows, by the window's length.
    reported: Vec<(Duration, u32)>,
    windows: Vec<WindowLog>,
    paced: Option<Paced>,
    spacer: Option<Pacer>,
    held_until: Option<Instant>,
    /// Requests started so far.
    started: u64,
}

/// Which window is paced, and above how many occupied slots.
#[derive(Debug)]
struct Paced {
    window: usize,
    burst: u32,
    pacer: Pacer,
}

impl Paced {
    fn new(rules: &ClassRules, now: Instant) -> Option<Self> {
        // A class with a spacing of its own is even already.
        let window = rules.paced_window().filter(|_| rules.spacing.is_zero())?;
        let rule = rules.windows.get(window)?;
        let burst = rules.burst.unwrap_or(rule.limit / 3);
        Some(Self { window, burst, pacer: Pacer::new(rule.pace(), PACED_TOGETHER, now)? })
    }
}

/// Whether a request may be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// Yes; its slots are occupied.
    Taken(Sent),
    /// The vendor wants to be left alone until then.
    Held(Instant),
    /// Not before then.
    Later(Instant),
    /// Not before another request was answered.
    WhenAnswered,
}

/// What was known when a request was sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    /// Occupied slots by window, this request's included.
    used: Vec<u32>,
    /// This request's number.
    number: u64,
}

/// What a vendor says about a window in the headers of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The window's length.
    pub(crate) per: Duration,
    /// The vendor's limit.
    pub(crate) limit: u32,
    /// What the vendor had left when the request arrived.
    pub(crate) remaining: u32,
}

impl State {
    pub(super) fn new(rules: &ClassRules, now: Instant) -> Self {
        let in_force = rules.in_force(rules.share, |_| None);
        Self {
            rules: rules.clone(),
            share: rules.share,
            reported: Vec::new(),
            windows: in_force.windows.iter().map(|rule| WindowLog::new(rule.limit, rule.per)).collect(),
            paced: Paced::new(&in_force, now),
            spacer: Pacer::new(rules.spacing, NonZeroU32::MIN, now),
            held_until: None,
            started: 0,
        }
    }

    /// From now on that share of a quota is used.
    pub(super) fn set_share(&mut self, share: QuotaShare, now: Instant) {
        self.share = share;
        self.set_limits(now);
    }

    fn set_limits(&mut self, now: Instant) {
        let reported = |per| self.reported.iter().find(|(of, _)| *of == per).map(|(_, limit)| *limit);
        let in_force = self.rules.in_force(self.share, reported);
        let mut changed = false;
        for (window, rule) in self.windows.iter_mut().zip(&in_force.windows) {
            changed |= window.set_limit(rule.limit);
        }
        if changed {
            self.paced = Paced::new(&in_force, now);
        }
    }

    /// Occupies a slot in every window, if that is allowed now.
    pub(super) fn take(&mut self, now: Instant) -> Turn {
        match self.held_until {
            Some(until) if until > now => return Turn::Held(until),
            _ => self.held_until = None,
        }
        for window in &mut self.windows {
            if window.free(now) == 0 {
                return window.next_free(now).map_or(Turn::WhenAnswered, Turn::Later);
            }
        }
        // Last, because asking a pacer takes the turn.
        if let Err(next_turn) = self.pace(now) {
            return Turn::Later(next_turn);
        }
        self.started += 1;
        let mut used = Vec::with_capacity(self.windows.len());
        for window in &mut self.windows {
            window.start();
            used.push(window.used(now));
        }
        Turn::Taken(Sent { used, number: self.started })
    }

    fn pace(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(spacer) = &self.spacer {
            return spacer.take(now);
        }
        let Some(paced) = &self.paced else { return Ok(()) };
        let in_window = self.windows.get_mut(paced.window).map_or(0, |window| window.used(now));
        if in_window < paced.burst { Ok(()) } else { paced.pacer.take(now) }
    }

    /// The request cannot arrive at the vendor any more after `now`.
    pub(super) fn finish(&mut self, now: Instant) {
        for window in &mut self.windows {
            window.finish(now);
        }
    }

    /// Nothing is sent for so long. A shorter word does not end a longer one.
    pub(super) fn hold(&mut self, wait: Duration, now: Instant) {
        let until = now + wait.min(HOLD_MAX);
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// Corrects the windows by what the vendor reports: others may use the account too.
    ///
    /// The vendor counted when the request arrived, at some moment between sending it and now. At no moment
    /// since then were more slots occupied here than when it was sent plus all that were sent after it. What the vendor
    /// counts beyond that is certainly not ours. (Comparing with today's count alone would
    /// blame others for our own requests whenever an answer is slow.)
    pub(super) fn observe(&mut self, sent: &Sent, reported: Reported, now: Instant) {
        self.believe(reported, now);
        let sent_since = u32::try_from(self.started.saturating_sub(sent.number)).unwrap_or(u32::MAX);
        for (window, used_when_sent) in self.windows.iter_mut().zip(&sent.used) {
            if window.per() != reported.per {
                continue;
            }
            let counted = reported.limit.saturating_sub(reported.remaining);
            let ours_at_most = used_when_sent.saturating_add(sent_since);
            let too_many = window.free(now).saturating_sub(reported.remaining);
            window.add_foreign(counted.saturating_sub(ours_at_most).min(too_many), now);
        }
    }

    /// Adopts the limit that the vendor reports, if it is lower than the configured one.
    pub(super) fn believe(&mut self, reported: Reported, now: Instant) {
        let Reported { per, limit, .. } = reported;
        if self.reported.contains(&(per, limit)) || !self.windows.iter().any(|window| window.per() == per) {
            return;
        }
        self.reported.retain(|(other, _)| *other != per);
        self.reported.push((per, limit));
        self.set_limits(now);
    }

    /// Accounts for requests that were made before the account was known.
    pub(super) fn add_foreign(&mut self, count: u32, now: Instant) {
        for window in &mut self.windows {
            window.add_foreign(count, now);
        }
    }

    pub(super) fn held_for(&self, now: Instant) -> Duration {
        self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    pub(super) fn windows_mut(&mut self) -> &mut [WindowLog] {
        &mut self.windows
    }

    /// Whether forgetting this state would change nothing.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.held_for(now).is_zero() && self.windows.iter_mut().all(|window| window.used(now) == 0)
    }
}
