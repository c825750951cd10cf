//! One launch over slices in memory, for comparisons and benchmarks.

use std::ops::Range;

use crate::{Argument, Fault, Lane, Launch, room::Places};

/// A launch being put together: arguments in their order.
#[derive(Debug, Default)]
pub struct Call {
    places: Places,
    arguments: Vec<Argument>,
    held: Vec<(Range<usize>, Vec<u8>)>,
}

/// A slice of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part(usize);

/// What fills the room between the slices.
const GAP: u8 = 0xA5;

impl Call {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that the kernel reads or writes; they are no argument yet.
    pub fn hold(&mut self, bytes: Vec<u8>) -> Part {
        let place = self.places.take(bytes.len());
        // Room that must stay as it is, so that a kernel that writes past its slice is found out.
        self.places.take(Places::ALIGNED);
        self.held.push((place, bytes));
        Part(self.held.len() - 1)
    }

    /// Adds the start of a slice as the next argument.
    pub fn part(&mut self, part: Part) -> &mut Self {
        self.argument(Argument::At(self.held[part.0].0.start))
    }

    /// Adds bytes as the next argument.
    pub fn bytes(&mut self, bytes: Vec<u8>) -> Part {
        let part = self.hold(bytes);
        self.part(part);
        part
    }

    /// Adds the next argument.
    pub fn argument(&mut self, argument: Argument) -> &mut Self {
        self.arguments.push(argument);
        self
    }

    /// Adds an arena of stored inputs and the table of them, the next two arguments: bytes, factor and code of each.
    pub fn inputs(&mut self, inputs: Vec<(Vec<u8>, f64, u32)>) -> &mut Self {
        let mut table = Vec::new();
        for (bytes, factor, code) in inputs {
            let part = self.hold(bytes);
            table.extend(entry(self.held[part.0].0.start, factor, code));
        }
        self.argument(Argument::At(0));
        self.bytes(table);
        self
    }

    /// Bytes of a lane that this fits in.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is nothing to copy.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Copies everything to the card.
    ///
    /// # Errors
    /// When the lane is too small, or the driver fails.
    pub fn send(&self, lane: &mut dyn Lane) -> Result<(), Fault> {
        let (len, room) = (self.len(), lane.host().len());
        if len > room {
            return Err(Fault::Memory { bytes: len, reason: format!("the lane has {room}") });
        }
        lane.host()[..len].fill(GAP);
        for (place, bytes) in &self.held {
            lane.host()[place.clone()].copy_from_slice(bytes);
        }
        lane.upload(0..len)
    }

    /// Starts the kernel.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn launch(&self, lane: &mut dyn Lane, (entry, grid): (&str, (u32, u32))) -> Result<(), Fault> {
        lane.launch(&Launch { entry, grid, arguments: &self.arguments })
    }

    /// Sends, launches and waits; gives what the slices hold afterwards.
    ///
    /// # Errors
    /// As [`Self::send`], and when the kernel wrote outside of its slices.
    pub fn run(&self, lane: &mut dyn Lane, kernel: (&str, (u32, u32))) -> Result<Vec<Vec<u8>>, Fault> {
        self.send(lane)?;
        self.launch(lane, kernel)?;
        lane.download(0..self.len())?;
        lane.finish()?;
        let host = lane.host();
        let mut end = 0;
        for (place, _) in &self.held {
            if let Some(at) = host[end..place.start].iter().position(|byte| *byte != GAP) {
                return Err(Fault::Driver(format!(
                    "{} wrote outside of its slices, at {}",
                    kernel.0,
                    end + at
                )));
            }
            end = place.end;
        }
        Ok(self.held.iter().map(|(place, _)| host[place.clone()].to_vec()).collect())
    }
}

/// A line of the table of inputs: offset, factor, code.
pub(crate) fn entry(offset: usize, factor: f64, code: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[8..16].copy_from_slice(&factor.to_le_bytes());
    bytes[16..20].copy_from_slice(&code.to_le_bytes());
    bytes
}
