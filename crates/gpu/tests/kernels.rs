//! Every kernel of the list does what the processor does, on the emulated card.
#![allow(clippy::unwrap_used)]

mod emulator;
mod parity;

use std::collections::BTreeSet;

use emulator::Emulated;
use gpu::{KERNELS, Platform as _, SOURCES};

#[test]
fn every_kernel_agrees_with_the_processor() {
    let card = &Emulated.cards().unwrap()[0];
    let driver = Emulated.open(card).unwrap();
    let mut lane = driver.lane(32 << 20).unwrap();

    let wrong: Vec<String> = parity::cases()
        .filter_map(|(kernel, dtype)| parity::compare(kernel, dtype, &mut *lane).err())
        .collect();

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_names_every_kernel_and_nothing_else() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/cuda");
    let mut there = BTreeSet::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "cu") {
            let source = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs_err::read_to_string(&path).unwrap();
            let entries = text.split("extern \"C\" __global__ void ").skip(1);
            there.extend(entries.map(|rest| (source.clone(), rest.split('(').next().unwrap().to_owned())));
        }
    }

    let listed: BTreeSet<(String, String)> =
        KERNELS.iter().map(|kernel| (kernel.source.to_owned(), kernel.entry.to_owned())).collect();

    assert_eq!(listed, there);
}

#[test]
fn the_carried_code_has_every_kernel() {
    for kernel in KERNELS {
        let source = SOURCES.iter().find(|source| source.name == kernel.source).unwrap();

        let entry = format!(".entry {}(", kernel.entry);
        assert!(
            source.ptx.contains(&entry),
            "{} is not in {}.ptx; run scripts/ptx",
            kernel.entry,
            source.name
        );
    }
}
