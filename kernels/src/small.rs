//! Eight-bit floats: `F8_E4M3` (finite only, NaN at ±0x7F) and `F8_E5M2` (IEEE-like).

/// Field widths and special codes of an eight-bit float.
pub(crate) struct Small {
    mantissa: u32,
    bias: u32,
    /// Largest finite code.
    max: u8,
    /// What a finite value beyond `max` becomes.
    over: u8,
    /// What an infinity becomes.
    infinity: u8,
}

pub(crate) const E4M3: Small = Small { mantissa: 3, bias: 7, max: 0x7E, over: 0x7E, infinity: 0x7F };
pub(crate) const E5M2: Small = Small { mantissa: 2, bias: 15, max: 0x7B, over: 0x7C, infinity: 0x7C };

pub(crate) static E4M3_VALUES: [f32; 256] = table(&E4M3);
pub(crate) static E5M2_VALUES: [f32; 256] = table(&E5M2);

const fn table(format: &Small) -> [f32; 256] {
    let mut values = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        values[code] = f32::from_bits(format.widen(code as u32));
        code += 1;
    }
    values
}

impl Small {
    /// The f32 bits of a code; exact, NaN payloads included.
    const fn widen(&self, code: u32) -> u32 {
        let sign = (code >> 7) << 31;
        let magnitude = code & 0x7F;
        let fraction = magnitude & ((1 << self.mantissa) - 1);
        let exponent = magnitude >> self.mantissa;
        let up = 23 - self.mantissa;
        if magnitude > self.max as u32 {
            return sign | 0x7F80_0000 | (fraction << up);
        }
        if exponent > 0 {
            return sign | ((exponent + 127 - self.bias) << 23) | (fraction << up);
        }
        if fraction == 0 {
            return sign;
        }
        let top = 31 - fraction.leading_zeros();
        let power = top + 127 + 1 - self.bias - self.mantissa;
        sign | (power << 23) | ((fraction << (23 - top)) & 0x7F_FFFF)
    }

    /// The nearest code, ties to even, and whether a finite value left the range.
    pub(crate) fn narrow(&self, value: f32) -> (u8, bool) {
        let bits = value.to_bits();
        let sign = ((bits >> 24) & 0x80) as u8;
        let magnitude = bits & 0x7FFF_FFFF;
        let (exponent, fraction) = ((magnitude >> 23) as i32, magnitude & 0x7F_FFFF);
        if exponent == 255 {
            return (sign | if fraction == 0 { self.infinity } else { self.nan(fraction) }, false);
        }
        let target = exponent - 127 + self.bias as i32;
        let down = 23 - self.mantissa;
        let code = if target >= 1 {
            round_shift(((target as u32) << 23) | fraction, down)
        } else {
            let down = down + (1 - target) as u32;
            if exponent == 0 || down > 24 { 0 } else { round_shift(fraction | (1 << 23), down) }
        };
        let over = code > u32::from(self.max);
        (sign | if over { self.over } else { code as u8 }, over)
    }

    fn nan(&self, fraction: u32) -> u8 {
        let kept = (fraction >> (23 - self.mantissa)) as u8;
        let quiet = 1 << (self.mantissa - 1);
        if self.infinity == 0x7F { 0x7F } else { self.infinity | if kept == 0 { quiet } else { kept } }
    }
}

/// `bits / 2^down` to nearest, ties to even; a carry runs into the exponent as it should.
fn round_shift(bits: u32, down: u32) -> u32 {
    (bits + ((1 << (down - 1)) - 1) + ((bits >> down) & 1)) >> down
}
