/// What the lab serves.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Equal seeds give equal records, byte for byte.
    pub seed: u64,
    /// Contacts before `scale`.
    pub contacts: u64,
    /// Companies before `scale`.
    pub companies: u64,
    /// Deals before `scale`.
    pub deals: u64,
    /// Multiplies all counts.
    pub scale: u64,
    /// How many requests a portal may make.
    pub limits: Limits,
    /// How long every accepted request takes, on top of the work itself.
    pub latency_ms: u64,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            seed: 7,
            contacts: 46_000,
            companies: 17_000,
            deals: 691,
            scale: 1,
            limits: Limits::strict(),
            latency_ms: 0,
        }
    }
}

/// Requests that one portal may make, whatever tokens it uses. Zero means unlimited for that class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Everything but search, in any rolling ten seconds.
    pub objects_per_10s: u32,
    /// Searches in any rolling second; 4 is HubSpot's older limit, 5 the present one.
    pub search_per_s: u32,
    /// Everything, from midnight to midnight of the account.
    pub daily: u32,
}

impl Limits {
    /// What a professional account is allowed, with the ten-second limit tightened to 90.
    #[must_use]
    pub fn strict() -> Self {
        Self { objects_per_10s: 90, search_per_s: 5, daily: 650_000 }
    }

    /// No limits at all, for tests about something else.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { objects_per_10s: 0, search_per_s: 0, daily: 0 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::strict()
    }
}
