//! Everything that is logged, down to the finest level.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use tracing_subscriber::filter::{FilterExt, LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

thread_local! {
    /// What this thread logs, while somebody wants it. A test's runtime has one thread, its own: this is what
    /// the services do in this test and in no other.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What is logged from [`Log::capture`] to [`Log::end`].
pub struct Log(());

impl Log {
    /// One subscriber for the process: with one for each thread, an event that another thread saw first would
    /// never be asked for again.
    pub fn capture() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let wanted = dynamic_filter_fn(|_, _| LOG.with_borrow(Option::is_some));
            let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Log(()));
            let layer = layer.with_filter(wanted.and(LevelFilter::TRACE));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        LOG.set(Some(Vec::new()));
        Self(())
    }

    pub fn end(self) -> String {
        String::from_utf8(LOG.take().unwrap()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.as_mut().map(|log| log.extend(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
