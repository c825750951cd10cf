//! A card that is none: the kernels of `kernels/cuda`, compiled for this processor, in a process of their own.
#![allow(clippy::unwrap_used, dead_code)]

pub mod faulty;

use std::{
    fmt::Write as _,
    io::{BufReader, BufWriter, Read as _, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
};

use gpu::{Argument, Card, Driver, Fault, KERNELS, Lane, Launch, Platform, SOURCES};
use tempfile::TempDir;

/// A file of this folder compiled with the kernels into a program or library.
fn compiled(source: &str, (name, more): (&str, &[&str])) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut included = String::new();
    for source in SOURCES {
        writeln!(included, "#include \"{}.cu\"", source.name).unwrap();
    }
    let entries: Vec<String> = KERNELS.iter().map(|kernel| format!("ENTRY({})", kernel.entry)).collect();
    writeln!(included, "#define KERNEL_ENTRIES {}", entries.join(" ")).unwrap();
    fs_err::write(folder.path().join("kernels.inc"), included).unwrap();
    let (here, program) = (Path::new(env!("CARGO_MANIFEST_DIR")), folder.path().join(name));
    let outcome = Command::new("c++")
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-w"])
        .args(more)
        .arg("-I")
        .arg(here.join("../../kernels/cuda"))
        .arg("-I")
        .arg(folder.path())
        .arg("-o")
        .arg(&program)
        .arg(here.join("tests/emulator").join(source))
        .output()
        .unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    (folder, program)
}

/// The compiled emulator.
fn program() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    // A load that is not aligned would end the work of a card.
    let more = ["-fsanitize=alignment,bounds,shift", "-fno-sanitize-recover=all"];
    &BUILT.get_or_init(|| compiled("emulator.cpp", ("emulator", &more))).1
}

/// The folder of a driver for the emulated card.
pub fn driver() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| compiled("libcuda.cpp", ("libcuda.so.1", &["-shared", "-fPIC"]))).0.path()
}

struct Process {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn broken(error: std::io::Error) -> Fault {
    Fault::Driver(format!("the emulator ended: {error}"))
}

impl Process {
    fn tell(&mut self, numbers: &[u64], bytes: &[u8]) -> Result<(), Fault> {
        for number in numbers {
            self.input.write_all(&number.to_le_bytes()).map_err(broken)?;
        }
        self.input.write_all(bytes).map_err(broken)
    }

    fn answer(&mut self) -> Result<Vec<u8>, Fault> {
        self.input.flush().map_err(broken)?;
        let mut length = [0; 8];
        self.output.read_exact(&mut length).map_err(broken)?;
        let mut answer = vec![0; usize::try_from(u64::from_le_bytes(length)).unwrap()];
        self.output.read_exact(&mut answer).map_err(broken)?;
        Ok(answer)
    }
}

/// The emulator as a way to one card.
pub struct Emulated;

impl Platform for Emulated {
    fn cards(&self) -> Result<Vec<Card>, Fault> {
        Ok(vec![Card {
            ordinal: 0,
            name: "Emulated card".to_owned(),
            capability: (9, 0),
            memory: 8 << 30,
            driver: 13_000,
        }])
    }

    fn open(&self, _: &Card) -> Result<Box<dyn Driver>, Fault> {
        let mut child =
            Command::new(program()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(broken)?;
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let process = Process { child, input: BufWriter::new(input), output: BufReader::new(output) };
        Ok(Box::new(EmulatedDriver(Arc::new(Mutex::new(process)))))
    }
}

struct EmulatedDriver(Arc<Mutex<Process>>);

impl Driver for EmulatedDriver {
    fn free(&self) -> Result<u64, Fault> {
        Ok(8 << 30)
    }

    fn lane(&self, bytes: usize) -> Result<Box<dyn Lane>, Fault> {
        let mut process = self.0.lock().unwrap();
        process.tell(&[0, bytes.next_multiple_of(256) as u64], &[])?;
        let address = u64::from_le_bytes(process.answer()?.try_into().unwrap());
        drop(process);
        Ok(Box::new(EmulatedLane { process: Arc::clone(&self.0), host: vec![0; bytes], address }))
    }
}

struct EmulatedLane {
    process: Arc<Mutex<Process>>,
    host: Vec<u8>,
    address: u64,
}

impl Drop for EmulatedLane {
    fn drop(&mut self) {
        let _ = self.process.lock().unwrap().tell(&[1, self.address], &[]);
    }
}

impl Lane for EmulatedLane {
    fn host(&mut self) -> &mut [u8] {
        &mut self.host
    }

    fn upload(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let to = self.address + range.start as u64;
        self.process.lock().unwrap().tell(&[2, to, range.len() as u64], &self.host[range])
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), Fault> {
        let slots: Vec<u64> = launch
            .arguments
            .iter()
            .map(|argument| match *argument {
                Argument::At(offset) => self.address + offset as u64,
                Argument::U32(value) => u64::from(value),
                Argument::U64(value) => value,
                Argument::F64(value) => value.to_bits(),
            })
            .collect();
        let kinds: String = launch
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::At(_) => 'p',
                Argument::U32(_) => 'i',
                Argument::U64(_) => 'l',
                Argument::F64(_) => 'd',
            })
            .collect();
        let mut process = self.process.lock().unwrap();
        process.tell(&[4, launch.entry.len() as u64], launch.entry.as_bytes())?;
        process.tell(
            &[u64::from(launch.grid.0), u64::from(launch.grid.1), kinds.len() as u64],
            kinds.as_bytes(),
        )?;
        process.tell(&slots, &[])?;
        let said = String::from_utf8(process.answer()?).unwrap();
        if said.is_empty() { Ok(()) } else { Err(Fault::Driver(said)) }
    }

    fn download(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let mut process = self.process.lock().unwrap();
        process.tell(&[3, self.address + range.start as u64, range.len() as u64], &[])?;
        let bytes = process.answer()?;
        self.host[range].copy_from_slice(&bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
