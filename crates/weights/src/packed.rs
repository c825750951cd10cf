//! Quantised singular vectors: the mixed-precision layout of SkillPack (arXiv 2505.18502), rounded to nearest.

use std::ops::Range;

/// Elements of a vector that share a scale.
const GROUP: usize = 128;

/// Two factors of a matrix of `rows × columns`, component after component in order of falling singular value: of each its
/// `columns` values, then its `rows` values. The first 2 % of the components have 8 bits, the next 18 % four, the rest two.
/// A vector starts on a byte, its lowest bits first, and has a scale for every 128 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    pub rank: usize,
    pub rows: usize,
    pub columns: usize,
}

/// One vector's place among the codes and the scales.
struct Vector {
    bits: usize,
    len: usize,
    codes: Range<usize>,
    scales: Range<usize>,
}

impl Packing {
    /// Components of eight, four and two bits.
    pub fn bands(&self) -> [usize; 3] {
        let eight = self.rank.div_ceil(50);
        let four = (self.rank * 9 / 50).min(self.rank - eight);
        [eight, four, self.rank - eight - four]
    }

    /// Bytes of codes and number of scales.
    pub fn sizes(&self) -> [usize; 2] {
        let bytes = |bits: usize, len: usize| (len * bits).div_ceil(8);
        let codes = self
            .bands()
            .into_iter()
            .zip([8, 4, 2])
            .map(|(components, bits)| components * (bytes(bits, self.columns) + bytes(bits, self.rows)));
        let scales = self.rank * (self.columns.div_ceil(GROUP) + self.rows.div_ceil(GROUP));
        [codes.sum(), scales]
    }

    fn vectors(&self) -> impl Iterator<Item = Vector> {
        let [eight, four, _] = self.bands();
        let (mut byte, mut scale) = (0, 0);
        let lens = [self.columns, self.rows];
        (0..2 * self.rank).map(move |at| {
            let component = at / 2;
            let bits = if component < eight {
                8
            } else if component < eight + four {
                4
            } else {
                2
            };
            let len = lens[at % 2];
            let (codes, scales) = (byte..byte + (len * bits).div_ceil(8), scale..scale + len.div_ceil(GROUP));
            (byte, scale) = (codes.end, scales.end);
            Vector { bits, len, codes, scales }
        })
    }

    /// Codes and scales of `down` (`rank × columns`) and `up` (`rows × rank`), both row-major. `stored` rounds a scale to
    /// the number format that it will be kept in.
    pub fn pack(&self, [down, up]: [&[f64]; 2], stored: impl Fn(f64) -> f64) -> (Vec<u8>, Vec<f64>) {
        let [bytes, scales] = self.sizes();
        let (mut codes, mut scales) = (vec![0; bytes], Vec::with_capacity(scales));
        for (at, vector) in self.vectors().enumerate() {
            let component = at / 2;
            let value = |i: usize| match at % 2 {
                0 => down[component * self.columns + i],
                _ => up[i * self.rank + component],
            };
            let codes = &mut codes[vector.codes.clone()];
            for start in (0..vector.len).step_by(GROUP) {
                let group = start..(start + GROUP).min(vector.len);
                let most = group.clone().map(|i| value(i).abs()).fold(0.0, f64::max);
                let scale = stored(most / largest(vector.bits));
                scales.push(scale);
                for i in group {
                    let (bit, code) = (i * vector.bits, code(value(i), scale, vector.bits));
                    codes[bit / 8] |= code << (bit % 8);
                }
            }
        }
        (codes, scales)
    }

    /// `down` and `up` again, of codes and scales as long as [`Self::sizes`] says.
    pub fn unpack(&self, codes: &[u8], scales: &[f32]) -> [Vec<f32>; 2] {
        let (mut down, mut up) = (vec![0.0; self.rank * self.columns], vec![0.0; self.rows * self.rank]);
        for (at, vector) in self.vectors().enumerate() {
            let (component, codes, scales) = (at / 2, &codes[vector.codes], &scales[vector.scales]);
            for i in 0..vector.len {
                let bit = i * vector.bits;
                let code = (codes[bit / 8] >> (bit % 8)) & (u8::MAX >> (8 - vector.bits));
                let value = level(code, vector.bits) as f32 * scales[i / GROUP];
                match at % 2 {
                    0 => down[component * self.columns + i] = value,
                    _ => up[i * self.rank + component] = value,
                }
            }
        }
        [down, up]
    }
}

/// The largest level, in scales: 127, 7, and 1.5 where the four levels are −1.5, −0.5, 0.5 and 1.5.
fn largest(bits: usize) -> f64 {
    match bits {
        2 => 1.5,
        bits => f64::from((1u32 << (bits - 1)) - 1),
    }
}

fn code(value: f64, scale: f64, bits: usize) -> u8 {
    let steps = if scale > 0.0 { value / scale } else { 0.0 };
    let (middle, most) = middle(bits);
    let code = match bits {
        2 => steps.floor() + 2.0,
        _ => (steps + middle).round_ties_even(),
    };
    // Code 0 of four and eight bits would be a level without its opposite.
    code.clamp(if bits == 2 { 0.0 } else { 1.0 }, most) as u8
}

fn level(code: u8, bits: usize) -> f64 {
    f64::from(code) - middle(bits).0
}

/// The code of zero, and the largest.
fn middle(bits: usize) -> (f64, f64) {
    match bits {
        2 => (1.5, 3.0),
        bits => (f64::from(1u32 << (bits - 1)), f64::from((1u32 << bits) - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_within_half_a_step_of_its_band() {
        let packing = Packing { rank: 60, rows: 131, columns: 257 };
        let noise = |count: usize, salt: f64| -> Vec<f64> {
            (0..count).map(|i| ((i as f64 + salt) * 0.7391).sin()).collect()
        };
        let (down, up) = (noise(60 * 257, 0.0), noise(131 * 60, 5.0));

        let (codes, scales) = packing.pack([&down, &up], |scale| f64::from(scale as f32));
        let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();
        let [back_down, back_up] = packing.unpack(&codes, &scales);

        assert_eq!(packing.bands(), [2, 10, 48]);
        assert_eq!([codes.len(), scales.len()], packing.sizes());
        let step = |component: usize| match component {
            0..2 => 1.0 / 127.0,
            2..12 => 1.0 / 7.0,
            _ => 1.0 / 1.5,
        };
        let close =
            |got: f32, wanted: f64, component| (f64::from(got) - wanted).abs() <= step(component) / 1.999;
        assert!((0..down.len()).all(|i| close(back_down[i], down[i], i / 257)));
        assert!((0..up.len()).all(|i| close(back_up[i], up[i], i % 60)));
    }

    #[test]
    fn zeros_stay_zero_in_every_band() {
        let packing = Packing { rank: 9, rows: 3, columns: 5 };

        let (codes, scales) = packing.pack([&[0.0; 45], &[0.0; 27]], |scale| scale);
        let scales: Vec<f32> = scales.into_iter().map(|scale| scale as f32).collect();

        let [down, up] = packing.unpack(&codes, &scales);
        assert!(down.iter().chain(&up).all(|value| *value == 0.0));
    }
}
