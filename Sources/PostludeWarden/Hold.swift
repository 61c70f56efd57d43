import PostludeLinux
import PostludePlan

/// Keeps programs from starting until the agent has written down whose warden this is and who had the devices before:
/// that takes it as long as setting up takes us, so both go on at once.
struct Hold: ~Copyable {
    /// Open as long as the hold lasts.
    private var control: OwnedDescriptor?
    /// The control channel; nil when there is no hold, or no more.
    private(set) var channel: Int32?
    /// Steps that are ready, by index, with what the kernel said of them.
    var waiting: [Int: StepReceipt] = [:]
    /// Whether the channel ended without the word to start.
    private(set) var isBroken = false

    /// None.
    init() { control = nil }

    init(_ control: consuming OwnedDescriptor) {
        channel = control.rawValue
        self.control = consume control
    }

    /// Whether nothing may start. A broken hold is on for good.
    var isOn: Bool { channel != nil || isBroken }

    /// Reads the agent's word, which is there, and gives the steps that may start now.
    mutating func end() -> [Int: StepReceipt] {
        guard let channel else { return [:] }
        var word: [UInt8]?
        do {
            word = try PacketSocket.receive(from: channel, limit: 16)?.bytes
        } catch {
            // As if the agent were gone: nothing may start on a guess.
        }
        control = nil
        self.channel = nil
        guard word == [ControlMessage.start.rawValue] else {
            isBroken = true
            return [:]
        }
        defer { waiting = [:] }
        return waiting
    }
}
