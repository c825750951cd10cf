//! Colour steps of the kinship table, as class names.

/// The class of a value: eleven steps from 0 to 1, a second ramp below zero. Distances are scaled by the largest
/// one and turned round, so that dark always means close.
pub fn class(value: f64, largest: f64, distance: Distance) -> String {
    let share = match distance {
        Distance::No => value,
        Distance::Yes if largest > 0.0 => 1.0 - value / largest,
        Distance::Yes => 1.0,
    };
    let step = (share.abs().clamp(0.0, 1.0) * 10.0).round() as u8;
    if share < 0.0 && step > 0 { format!("heat-n{step}") } else { format!("heat-{step}") }
}

/// Whether a value has a colour of those below zero.
pub fn opposed(value: f64) -> bool {
    value <= -0.15
}

/// Whether small values mean close relatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_relatives_are_dark_whatever_the_measure() {
        assert_eq!(class(1.0, 1.0, Distance::No), "heat-10");
        assert_eq!(class(-0.52, 1.0, Distance::No), "heat-n5");
        assert_eq!(class(0.0, 7.0, Distance::Yes), "heat-10");
        assert_eq!(class(7.0, 7.0, Distance::Yes), "heat-0");
    }
}
