//! `Meter`: who times the calls of models. The stage says when a call begins and ends, and reads no clock itself.

/// Is told when an agent's model is called. What it does decides nothing.
pub trait Meter: std::fmt::Debug + Send {
    /// A model is about to be called.
    fn begin(&mut self);
    /// The call of this agent's model has ended.
    fn end(&mut self, agent: usize);
}
