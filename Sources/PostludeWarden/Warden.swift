import Glibc
import PostludeLinux
import PostludePlan

/// One attempt, from an idle process to its last record. Single-threaded; descriptor 3 is the control channel.
enum Warden {
    /// Exit statuses, for whoever looks at the process and finds no `ended` record.
    enum Status {
        static let ended: Int32 = 0, refused: Int32 = 2, journalLost: Int32 = 3, failed: Int32 = 4
    }

    private static let controlDescriptor: Int32 = 3

    static func run() -> Never {
        let status: Int32
        do {
            // Whatever a library of the agent had open without O_CLOEXEC at the moment of the spawn.
            try ProcessControl.closeDescriptors(from: controlDescriptor + 1)
            try occupyStandardDescriptors()
            try ProcessControl.closeDescriptors(from: controlDescriptor + 1)
            Rootless.enterIfAsked(control: controlDescriptor)
            try ProcessControl.blockAllSignals()
            protectFromOutOfMemory()
            status = try serve(OwnedDescriptor(adopting: controlDescriptor))
        } catch {
            status = Status.failed
        }
        _exit(status)
    }

    /// No descriptor of ours may get a number below 3: the child's standard streams go there.
    private static func occupyStandardDescriptors() throws(LinuxError) {
        while true {
            let descriptor = try OwnedDescriptor.open("/dev/null", O_RDWR)
            if descriptor.rawValue > controlDescriptor { return }
            guard descriptor.release() != controlDescriptor else { throw LinuxError("control", errno: EBADF) }
        }
    }

    /// The warden's end is the attempt's. It is inherited by launchers; a step takes a high value for itself.
    private static func protectFromOutOfMemory() {
        do throws(LinuxError) {
            try OutOfMemoryScore.set(OutOfMemoryScore.never)
        } catch {
            // EACCES without CAP_SYS_RESOURCE: then only the steps' higher values protect the warden.
        }
    }

    private static func serve(_ control: consuming OwnedDescriptor) throws(LinuxError) -> Int32 {
        guard let first = try PacketSocket.receive(from: control.rawValue) else { return Status.ended }
        let preparation: Preparation
        do {
            guard first.bytes.first == ControlMessage.prepare.rawValue else { throw PlanError(.notAPlan) }
            let request = try PrepareRequest(
                decoding: first.bytes.dropFirst(), descriptors: first.descriptors.count)
            preparation = try Preparation(request, descriptors: first.descriptors)
        } catch let failure as Preparation.Failure {
            try PacketSocket.send(
                ControlMessage.failure(failure.stage, errno: failure.cause.errno), to: control.rawValue)
            return Status.refused
        } catch {
            try PacketSocket.send(ControlMessage.failure(.plan, errno: EINVAL), to: control.rawValue)
            return Status.refused
        }
        try PacketSocket.send([ControlMessage.ready.rawValue], to: control.rawValue)

        // Idle until a plan comes; the channel's end means that no plan will.
        guard let message = try PacketSocket.receive(from: control.rawValue, limit: 64) else {
            preparation.dismiss()
            return Status.ended
        }
        let sent: SentPlan
        do {
            // Main's first process reads it at the same time, and judges it by itself.
            if let memory = message.descriptors.first { try preparation.announce(memory) }
            sent = try SentPlan(message.bytes, message.descriptors)
        } catch {
            preparation.dismiss()
            try PacketSocket.send(
                ControlMessage.failure(.plan, errno: EINVAL), to: control.rawValue, flags: Int32(MSG_DONTWAIT))
            return Status.refused
        }
        // Without a hold, or after its end, the agent may come and go.
        let attempt = try Attempt(sent, preparation, control: control)
        return attempt.run()
    }
}
