//! Sums, statistics, sketches and selection.

use gpu::{Argument, Call};
use kernels::{BLOCK, Dtype, Encoded, Gram, Sketch, Stats, kth};

use super::{Case, LEN, bytes_of_f32, codes, count, numbers, same, stored, strip, weights, width};

const SPAN: usize = 16_384;

pub fn compare(case: Case<'_>) -> Result<(), String> {
    match case.kernel.entry {
        entry if entry.starts_with("delta_") => {
            let models = if entry.starts_with("delta_pair") { 2 } else { 6 };
            let mut case = case;
            deltas(&mut case, models, 1.0)?;
            // The squares of these leave the range of f32.
            deltas(&mut case, models, 1e-23)
        }
        "tensor_stats" => stats(case),
        "sketch_parts" | "sketch_fold" => {
            let mut case = case;
            sketch(&mut case, (LEN as u64, 4_096, 1_024))?;
            sketch(&mut case, (22_400, 1_024, 512))
        }
        "select_values" | "select_deltas" => selection(case),
        other => Err(format!("no comparison for {other}")),
    }
}

/// Totals of every column of rows of `columns` numbers.
fn totals(rows: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).map(|column| rows.iter().skip(column).step_by(columns).sum()).collect()
}

fn deltas(case: &mut Case<'_>, models: usize, scale: f64) -> Result<(), String> {
    let mixed = scale == 1.0 && case.kernel.entry.ends_with("_any");
    let others = [case.dtype, Dtype::F32, Dtype::Bf16, Dtype::F16];
    let dtype_of = |at: usize| if mixed { others[at % 4] } else { case.dtype };
    let values: Vec<Vec<f64>> = (0..=models).map(|at| weights(at as u64 / 2, LEN)).collect();
    let shifted = |(at, values): (usize, &Vec<f64>)| {
        let moved: Vec<f64> =
            values.iter().zip(weights(90 + at as u64, LEN)).map(|(x, d)| scale * (x + 0.1 * d)).collect();
        stored(dtype_of(at), &moved)
    };
    let inputs: Vec<Vec<u8>> = values.iter().enumerate().map(shifted).collect();
    let mut expected = Gram::new(models);
    for from in (0..LEN).step_by(BLOCK) {
        let block = |(at, bytes): (usize, &'_ Vec<u8>)| -> Vec<u8> {
            let width = width(dtype_of(at));
            bytes[from * width..LEN.min(from + BLOCK) * width].to_vec()
        };
        let blocks: Vec<Vec<u8>> = inputs.iter().enumerate().map(block).collect();
        let views: Vec<Encoded<'_>> = blocks
            .iter()
            .enumerate()
            .map(|(at, bytes)| Encoded { dtype: dtype_of(at), bytes: bytes.as_slice() })
            .collect();
        expected.add_deltas(views[0], &views[1..]);
    }

    let spans = LEN.div_ceil(SPAN);
    let (tiles, sums) = if models == 2 { (1, 6) } else { (3, 21) };
    let coded = |(at, bytes): (usize, Vec<u8>)| {
        let mut padded = bytes;
        padded.resize(padded.len().next_multiple_of(32), 0xFF);
        (padded, 1.0, gpu::code(dtype_of(at)).unwrap())
    };
    let mut call = Call::new();
    call.inputs(inputs.into_iter().enumerate().map(coded).collect());
    if models > 2 {
        call.argument(Argument::U32(models as u32));
    }
    call.argument(count(LEN));
    call.bytes(vec![0; spans * tiles * sums * 8]);
    let got = case.run(&call, ((spans * tiles) as u32, 1))?;
    let got = totals(&numbers(got.last().unwrap()), tiles * sums);

    let size = |i: usize, j: usize| (expected.dot(i, i) * expected.dot(j, j)).sqrt();
    let long = |i: usize| (expected.dot(i, i) * LEN as f64).sqrt();
    if models == 2 {
        let wanted = [
            (expected.dot(0, 1), size(0, 1)),
            (expected.dot(0, 0), size(0, 0)),
            (expected.dot(1, 1), size(1, 1)),
            (expected.sum(0), long(0)),
            (expected.sum(1), long(1)),
            (expected.base_square(), expected.base_square()),
        ];
        return wanted
            .into_iter()
            .zip(got)
            .try_for_each(|((wanted, size), got)| case.close("a sum", (got, wanted, size)));
    }
    for (tile, (row, column)) in [(0, 0), (0, 4), (4, 4)].into_iter().enumerate() {
        let got = &got[tile * 21..(tile + 1) * 21];
        for i in row..models.min(row + 4) {
            for j in column.max(i)..models.min(column + 4) {
                let cell = got[(i - row) * 4 + j - column];
                case.close(&format!("cell {i} {j}"), (cell, expected.dot(i, j), size(i, j)))?;
            }
            if row == column {
                case.close(&format!("sum {i}"), (got[16 + i - row], expected.sum(i), long(i)))?;
            }
        }
        if row != column {
            continue;
        }
        case.close("the base", (got[20], expected.base_square(), expected.base_square()))?;
    }
    Ok(())
}

fn stats(mut case: Case<'_>) -> Result<(), String> {
    let mut values = strip(3, LEN);
    // One element is the least and one the most, in the middle of what a thread looks at.
    (values[12_345], values[54_321]) = (-0.75, 0.875);
    (values[100], values[40_000], values[LEN - 1]) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
    let bytes = stored(case.dtype, &values);
    let mut read = vec![0.0; LEN];
    kernels::decode(case.dtype, &bytes, &mut read);
    let mut expected = Stats::default();
    expected.add_block(&read);

    let mut call = Call::new();
    call.argument(codes(case.dtype)).bytes(bytes);
    call.argument(count(LEN)).bytes(vec![0; LEN.div_ceil(SPAN) * 72]);
    let got = case.run(&call, (LEN.div_ceil(SPAN) as u32, 1))?;

    let rows = numbers(&got[1]);
    let total = totals(&rows, 9);
    let wanted = [
        (expected.sum, (expected.sum_sq * LEN as f64).sqrt()),
        (expected.sum_sq, expected.sum_sq),
        (expected.sum_cubes, (expected.sum_sq * expected.sum_fourths).sqrt()),
        (expected.sum_fourths, expected.sum_fourths),
        (expected.zeros as f64, 1e-9),
        (expected.nans as f64, 1e-9),
        (expected.infs as f64, 1e-9),
    ];
    wanted
        .into_iter()
        .zip(&total)
        .try_for_each(|((wanted, size), got)| case.close("a moment", (*got, wanted, size)))?;
    let (low, high) = expected.range().unwrap();
    let ends = rows
        .chunks(9)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), row| (low.min(row[7]), high.max(row[8])));
    case.close("the least", (ends.0, low, 1e-9))?;
    case.close("the most", (ends.1, high, 1e-9))
}

/// A sketch of blocks of `block` elements with `cells` cells each, made from parts of `groups` groups.
fn sketch(case: &mut Case<'_>, (block, cells, groups): (u64, usize, u64)) -> Result<(), String> {
    const KEY: u64 = 0x1234_5678_9ABC_DEF1;
    let mut values = strip(4, LEN);
    values[77] = f64::NAN;
    let bytes = stored(case.dtype, &values);
    let mut read = vec![0.0; LEN];
    kernels::decode(case.dtype, &bytes, &mut read);
    let whole = block == LEN as u64;
    let mut expected = if whole {
        Sketch::new(KEY, block, cells)
    } else {
        Sketch::in_blocks(KEY, LEN as u64, (block, cells))
    };
    expected.add_block(0, &read);
    assert!(!expected.is_exact());

    let (blocks, parts) = ((LEN as u64).div_ceil(block), block.div_ceil(32).div_ceil(groups));
    let per_block = cells * 8;
    let mut call = Call::new();
    call.argument(codes(case.dtype)).bytes(bytes);
    call.argument(count(LEN))
        .argument(Argument::U64(block.next_multiple_of(32)))
        .argument(Argument::U64(KEY));
    call.argument(Argument::U32(cells as u32 / 32)).argument(Argument::U64(groups));
    call.bytes(vec![0; (blocks * parts) as usize * per_block]);
    let made = case.run_entry("sketch_parts", &call, (parts as u32, blocks as u32))?;
    let mut fold = Call::new();
    fold.bytes(made[1].clone());
    fold.argument(Argument::U32(cells as u32)).argument(Argument::U32(parts as u32));
    fold.bytes(vec![0; blocks as usize * per_block]);
    let got = case.run_entry("sketch_fold", &fold, (cells.div_ceil(256) as u32, blocks as u32))?;

    let got = numbers(&got[1]);
    if got.len() != expected.cells().len() {
        return Err(format!("{} cells, should be {}", got.len(), expected.cells().len()));
    }
    got.iter().zip(expected.cells()).try_for_each(|(got, wanted)| case.close("a cell", (*got, *wanted, 1e-3)))
}

fn selection(mut case: Case<'_>) -> Result<(), String> {
    let deltas = case.kernel.entry == "select_deltas";
    let (a, b) = (stored(case.dtype, &strip(6, LEN)), stored(case.dtype, &strip(7, LEN)));
    let read = |bytes: &[u8]| {
        let mut values = vec![0.0; LEN];
        kernels::decode_f64(case.dtype, bytes, &mut values);
        values
    };
    let mut ranked = vec![0.0f32; LEN];
    if deltas {
        let apart: Vec<f64> = read(&a).iter().zip(read(&b)).map(|(a, b)| a - b).collect();
        kernels::wide::magnitudes(&apart, &mut ranked);
    } else {
        ranked = read(&a).into_iter().map(|value| value as f32).collect();
    }
    for k in [1, 2, 1_000, LEN as u64 / 2, LEN as u64] {
        let expected = kth::threshold(&ranked, k).unwrap();
        let (mut prefix, mut rank, mut above) = (0u32, k, 0);
        for (shift, digits, prefix_shift) in [(20, 2_048u32, 31), (10, 1_024, 20), (0, 1_024, 10)] {
            let mut call = Call::new();
            if deltas {
                let input = |bytes: &[u8]| (bytes.to_vec(), 1.0, gpu::code(case.dtype).unwrap());
                call.inputs(vec![input(&a), input(&b)]);
            } else {
                call.bytes(bytes_of_f32(&ranked));
            }
            call.argument(count(LEN)).argument(Argument::U32(shift)).argument(Argument::U32(digits - 1));
            call.argument(Argument::U32(prefix_shift)).argument(Argument::U32(prefix));
            call.bytes(vec![0; 2_048 * 8]);
            let got = case.run(&call, (7, 1))?;
            let counts: Vec<u64> = got
                .last()
                .unwrap()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect();
            let mut slot = digits as usize - 1;
            while counts[slot] < rank {
                rank -= counts[slot];
                above += counts[slot];
                slot = slot.checked_sub(1).ok_or("fewer were counted than there are")?;
            }
            prefix = prefix * digits + slot as u32;
        }
        let found = [u64::from(prefix), above].map(u64::to_le_bytes).concat();
        let wanted = [u64::from(expected.value_bits), expected.above].map(u64::to_le_bytes).concat();
        same(&format!("the threshold of {k}"), &found, &wanted, 8)?;
    }
    Ok(())
}
