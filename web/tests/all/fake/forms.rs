//! What becomes of forms that are sent to the fake.

use super::*;

impl Fake {
    pub fn merge(&self, yaml: &str) -> Result<String> {
        if yaml.contains("bad") {
            let item = Item { pointer: "/models/0".into(), message: format!("unknown model{}", self.mark) };
            let mut failure = Failure::new(Class::Invalid, "bad_recipe", "The recipe has faults.");
            failure.items.push(item);
            return Err(failure);
        }
        Ok("01JOB".into())
    }

    pub fn difference(&self, form: &DifferenceForm) -> Result<String> {
        match form.density.as_str() {
            "much" => Err(self.faulty(Class::Invalid, &["/density"])),
            _ => Ok("01JOB".into()),
        }
    }

    pub fn transfer(&self, form: &TransferForm) -> Result<String> {
        match form.lambda.as_str() {
            "abc" => Err(self.faulty(Class::Invalid, &["/output", "/lambda/0", "/target_base"])),
            _ => Ok("01JOB".into()),
        }
    }

    pub fn transfer_check(&self, form: &TransferForm) -> TransferCheck {
        if let Err(failure) = self.transfer(form) {
            let fault = Some(failure.detail);
            return TransferCheck { fault, items: failure.items, ..TransferCheck::default() };
        }
        TransferCheck {
            verdict: "uncertain",
            reasons: vec![("unlikely", self.mark.clone())],
            facts: vec![("Weights", self.mark.clone())],
            ..TransferCheck::default()
        }
    }
}
