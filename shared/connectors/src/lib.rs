//! Vendors: the connector trait, the registry, the HTTP client with budgets, and one folder a vendor.
//! The only crate that knows reqwest. It knows neither Postgres nor NATS.

mod budget;
mod columns;
mod config;
mod connection;
mod connector;
mod error;
mod http;
mod hubspot;
mod jsonb;
mod page;
mod properties;
mod registry;

pub use budget::{BoardAway, BudgetBoard, BudgetView, Posted, Sharing, WindowView, Written};
pub use config::{BudgetConfig, ConnectorConfig, ConnectorsConfig, HttpConfig, WindowConfig};
pub use connection::{Connection, Credentials};
pub use connector::{Connector, ConnectorSpec, CredentialField, Host, Known, Need, ObjectSpec, Session};
pub use error::{ErrorClass, SourceError};
pub use page::{Difference, Next, Page, Position};
pub use registry::{InvalidConnectors, Registry};
