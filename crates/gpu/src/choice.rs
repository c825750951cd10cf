//! Which device computes, and why.

use std::{fmt, str::FromStr, sync::Arc};

use domain::Limits;

use crate::{Card, Fault, Gpu, Platform};

/// What the configuration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// A card where there is one and it is the quicker.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A card; its absence is an error.
    Gpu,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ => Err(format!("`{word}` is no device; use auto, cpu or gpu")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        })
    }
}

/// CUDA version of the compiler that made the PTX: an older driver refuses it.
const NEEDED: i32 = 13_000;
/// Lowest compute capability that the PTX is for.
const CAPABLE: (i32, i32) = (8, 0);

/// What was found.
#[derive(Clone)]
pub struct Found {
    /// The card; without one the processor computes.
    pub gpu: Option<Arc<Gpu>>,
    /// Why.
    pub why: String,
}

/// Looks for a card as `choice` says.
///
/// # Errors
/// When a card is asked for and none can be used.
pub fn find(choice: Choice, platform: Box<dyn Platform>, limits: &Limits) -> Result<Found, Fault> {
    if choice == Choice::Cpu {
        return Ok(Found { gpu: None, why: "the configuration asks for the processor".to_owned() });
    }
    let opened =
        platform.cards().and_then(|cards| best(&cards)).and_then(|card| Gpu::open(platform, card, *limits));
    let opened = if choice == Choice::Gpu { opened } else { opened.and_then(Gpu::racing) };
    match opened {
        Ok(gpu) => {
            let card = gpu.card();
            let (name, memory, driver) = (&card.name, card.memory >> 30, card.driver);
            let why =
                format!("{name}, {memory} GiB, driver for CUDA {}.{}", driver / 1000, driver % 1000 / 10);
            Ok(Found { gpu: Some(Arc::new(gpu)), why })
        }
        Err(fault) if choice == Choice::Gpu => Err(fault),
        Err(fault) => Ok(Found { gpu: None, why: fault.to_string() }),
    }
}

/// The card with the most memory of those that the kernels run on.
fn best(cards: &[Card]) -> Result<Card, Fault> {
    let Some(first) = cards.first() else { return Err(Fault::NoCard) };
    if first.driver < NEEDED {
        return Err(Fault::OldDriver { found: first.driver, needed: NEEDED });
    }
    let able = cards.iter().filter(|card| card.capability >= CAPABLE);
    // Of equal ones the first, as the driver orders them.
    let best = able.reduce(|best, card| if card.memory > best.memory { card } else { best });
    best.cloned().ok_or_else(|| Fault::OldCard { name: first.name.clone(), capability: first.capability })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, capability: (i32, i32), memory: u64) -> Card {
        Card { ordinal: 0, name: name.to_owned(), capability, memory, driver: NEEDED }
    }

    #[test]
    fn the_card_with_the_most_memory_of_the_able_ones_is_taken() {
        let cards =
            [card("old", (7, 5), 48 << 30), card("small", (8, 6), 24 << 30), card("large", (9, 0), 80 << 30)];

        assert_eq!(best(&cards).unwrap().name, "large");
        assert_eq!(best(&cards[..1]), Err(Fault::OldCard { name: "old".to_owned(), capability: (7, 5) }));
        assert_eq!(best(&[]), Err(Fault::NoCard));
    }

    #[test]
    fn an_old_driver_is_told_with_both_versions() {
        let old = Card { driver: 12_040, ..card("large", (9, 0), 80 << 30) };

        let fault = best(&[old]).unwrap_err();

        assert_eq!(
            fault.to_string(),
            "the NVIDIA driver supports CUDA 12.4, the kernels need 13.0; update the driver"
        );
    }
}
