/// Everything that the agent ever commits to its database, by what the commit is for. A write cannot be made without
/// naming one, so there is no commit at which the agent could not be made to die.
public enum Commit: String, CaseIterable, Sendable {
    /// A submission: the run, its hooks, its idempotency key, and its place if there is room.
    case submit
    /// One event of a run's life that has no commit of its own: a stop, an approval, a failed launch, an eviction.
    case event
    /// An effect that came to nothing, or left nothing to store, is no longer owed.
    case effectDone = "effect-done"
    /// Which warden an attempt has.
    case bind
    /// The launch is no longer owed, since the warden is the attempt's.
    case launchDone = "launch-done"
    /// What a warden reported; with the end of an attempt whose devices are free, the hand-back and the hooks too.
    case reports
    /// A warden is gone that said no last word.
    case wardenLost = "warden-lost"
    /// The verdict on an attempt's devices, its outputs, the run's end and its hooks.
    case handBack = "hand-back"
    /// What was decided about hooks that the end of their main left owed.
    case hooks
    /// The attempt's cgroups are removed and its artifacts measured.
    case cleanUp = "clean-up"
    /// A parent's next children, or its end.
    case advance
    /// A parent's next step is owed, because its time has come.
    case advanceOwed = "advance-owed"
    /// A run is held back.
    case hold
    /// A run that was held back is let go.
    case release
    /// A maintenance window.
    case drain
    /// The end of maintenance windows.
    case drainEnd = "drain-end"
    /// Who may start now that time has passed.
    case place
    /// A quarantined device is free again.
    case clear
    /// At the start: what the node has.
    case register
    /// At the start: effects that nobody owed and somebody waits for; writes nothing on an agent without faults.
    case missing
}
