//! What records are made of. Each name comes with the ASCII form that goes into addresses.

use super::Row;
use super::property::{push_number, push_revision, sparse_until_edited};

pub(super) const FIRST_NAMES: &[(&str, &str)] = &[
    ("Anna", "anna"),
    ("José", "jose"),
    ("Zoë", "zoe"),
    ("Łukasz", "lukasz"),
    ("Søren", "soren"),
    ("Mária", "maria"),
    ("明", "akira"),
    ("Мария", "mariya"),
    ("Thị Hương", "huong"),
    ("أحمد", "ahmed"),
    ("Noa", "noa"),
    ("James", "james"),
    ("Priya", "priya"),
    ("François", "francois"),
    ("Ğülşen", "gulsen"),
    ("John", "john"),
    ("Siobhán", "siobhan"),
    ("Mary Ann", "maryann"),
    ("Jürgen", "juergen"),
    ("Chloé", "chloe"),
    ("Olu", "olu"),
    ("Björk", "bjork"),
];

pub(super) const LAST_NAMES: &[(&str, &str)] = &[
    ("Müller", "mueller"),
    ("O'Connor", "oconnor"),
    ("García Márquez", "garcia"),
    ("Nguyễn", "nguyen"),
    ("Smith", "smith"),
    ("田中", "tanaka"),
    ("Иванова", "ivanova"),
    ("van der Berg", "vdberg"),
    ("Østergård", "ostergard"),
    ("Kowalczyk", "kowalczyk"),
    ("Smith-Jones", "smithjones"),
    ("D’Angelo", "dangelo"),
    ("Okafor", "okafor"),
    ("Çelik", "celik"),
    ("Þórsdóttir", "thorsdottir"),
    ("Singh", "singh"),
    ("Lee", "lee"),
    ("Dvořák", "dvorak"),
];

pub(super) const COMPANY_STEMS: &[(&str, &str)] = &[
    ("Acme", "acme"),
    ("Nordwind", "nordwind"),
    ("Café Ümlaut", "cafe-umlaut"),
    ("Müller & Söhne", "mueller-soehne"),
    ("Blue \"Sky\" Labs", "blueskylabs"),
    ("日本電子", "nihondenshi"),
    ("Globex", "globex"),
    ("Initech", "initech"),
    ("Back\\Slash Media", "backslash"),
    ("Öresund Logistics", "oresund"),
    ("R&D <Partners>", "rdpartners"),
    ("Tres Hermanos", "treshermanos"),
    ("Żubr", "zubr"),
    ("Umbrella", "umbrella"),
    ("Rocket 🚀 Works", "rocketworks"),
];

pub(super) const COMPANY_ENDINGS: &[&str] =
    &["GmbH", "Inc.", "Ltd", "S.A.", "AG", "LLC", "株式会社", "BV", "Sp. z o.o."];

pub(super) const JOB_TITLES: &[&str] = &[
    "CEO",
    "Head of Sales",
    "Software Engineer",
    "Geschäftsführer",
    "Directrice générale",
    "Buyer",
    "VP \"Growth\"",
    "Office Manager",
    "CFO / COO",
    "Einkäufer:in",
    "Ops 🛠️",
    "Intern",
];

/// City, state, postal code, country.
pub(super) const PLACES: &[(&str, &str, &str, &str)] = &[
    ("Berlin", "Berlin", "10115", "Germany"),
    ("München", "Bayern", "80331", "Germany"),
    ("Zürich", "ZH", "8001", "Switzerland"),
    ("São Paulo", "SP", "01000-000", "Brazil"),
    ("Boston", "MA", "02101", "United States"),
    ("東京", "東京都", "100-0001", "Japan"),
    ("Kraków", "Małopolskie", "30-001", "Poland"),
    ("Dublin", "Leinster", "D01 F5P2", "Ireland"),
    ("Malmö", "Skåne", "211 20", "Sweden"),
    ("Bengaluru", "Karnataka", "560001", "India"),
];

pub(super) const STREETS: &[&str] = &[
    "Hauptstraße 1",
    "5th Ave",
    "Rue de l'Église 12\nBât. B",
    "Calle Ñuñoa 7",
    "Main St \"Suite 4\"",
    "Królewska 3/5",
];

pub(super) const INDUSTRIES: &[&str] = &[
    "COMPUTER_SOFTWARE",
    "RETAIL",
    "FOOD_PRODUCTION",
    "FINANCIAL_SERVICES",
    "LOGISTICS_AND_SUPPLY_CHAIN",
    "CONSTRUCTION",
];

pub(super) const LIFECYCLE_STAGES: &[&str] = &[
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "other",
];

/// Owner id, first name, last name, address.
pub(crate) const OWNERS: &[(u64, &str, &str, &str)] = &[
    (77_001, "Ann", "Lee", "ann@lab.test"),
    (77_002, "Jörg", "Weiß", "joerg@lab.test"),
    (77_003, "Aoife", "Ní Bhriain", "aoife@lab.test"),
    (1_088_214, "Raj", "Patel", "raj@lab.test"),
    (412_330_981, "Élodie", "Dupont", "elodie@lab.test"),
];

const NOTES: &[&str] = &[
    "Met at the fair; wants a call back in spring.",
    "She said: \"not before Q3\" \\ ask again",
    "Zeile eins\nZeile zwei\tmit Tabulator\r\nZeile drei",
    "Great chat 👩‍👩‍👧‍👦 🎉 – très intéressé(e), señor Ñandú",
    "'; DROP TABLE deals; -- <b>bold</b> & <script>alert(1)</script>",
    "價格太高,下季再談。",
    "{\"json\": [\"in\", \"a\", \"string\"], \"path\": \"C:\\\\temp\"}",
    "zero\u{200b}width, non\u{a0}breaking, \u{202e}right-to-left\u{202c}, e\u{301} decomposed",
    "-",
    "null",
    "   padded   ",
];

/// A phone number. Of the edits every fourth clears it, the others change it.
pub(super) fn phone(row: &Row, out: &mut String, salt: u64, rare: (u64, u64)) -> bool {
    sparse_until_edited(row, out, salt, rare, |out| {
        if row.revision % 4 != 3 {
            push_phone(row, out, row.revised(salt + 1));
        }
    })
}

/// A note; one in 997 is very long (about 40,000 characters).
pub(super) fn push_note(row: &Row, out: &mut String, salt: u64) {
    let note = row.pick(salt, NOTES);
    let times = if row.index % 997 == 601 { 40_000 / note.len().max(1) } else { 1 };
    for _ in 0..times {
        out.push_str(note);
    }
    push_revision(row, out);
}

pub(super) fn push_phone(row: &Row, out: &mut String, salt: u64) {
    const PREFIXES: &[&str] = &["+49 30 ", "+1 (617) ", "0041-44-", "+81 3 ", "tel. 030/"];
    out.push_str(row.pick(salt, PREFIXES));
    push_number(out, 1_000_000 + row.below(salt + 1, 8_999_999));
}

pub(super) fn push_owner(row: &Row, out: &mut String, salt: u64) {
    push_number(out, row.pick(salt, OWNERS).0);
}
