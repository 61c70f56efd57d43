import Glibc
import Hummingbird
import ServiceLifecycle
import PostludeCore
import PostludeEngine

/// One output stream of one step.
struct StepLog: Sendable {
    let engine: Engine
    let files: FileWatch
    let caller: Caller
    let run: RunID
    let step: String
    let stream: LogStream
    let attempt: Int?

    /// The file as it is now; throws `engine.unknown-step` when there is none.
    func open() async throws -> LogFile {
        let path = try await engine.logFile(run, attempt: attempt, step: step, stream: stream, for: caller)
        return try LogFile(path: path, step: step)
    }

    /// Everything from `offset` to the end of the file as it is; returns the offset reached.
    @discardableResult
    func copy(
        _ file: LogFile, from offset: Int64, _ write: (ByteBuffer) async throws -> Void
    ) async throws -> Int64 {
        var offset = offset
        while let chunk = try file.read(at: offset) {
            try await write(chunk)
            offset += Int64(chunk.readableBytes)
        }
        return offset
    }

    /// Throws when the step is not there and never will be.
    func checkCanCome() async throws {
        let detail = try await engine.detail(run, for: caller)
        guard progress(detail) == .over else { return }
        _ = try await open()
    }

    /// Everything from `offset` on, until the step has ended.
    func follow(from offset: Int64, _ write: (ByteBuffer) async throws -> Void) async throws {
        let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        engine.tellChanges(to: wake)
        try await withGracefulShutdownHandler {
            var file: LogFile?
            var watch: FileWatch.Registration?
            defer { watch?.cancel() }
            var offset = offset
            var wakes = wakes.makeAsyncIterator()
            while true {
                // Asked before the file is read: what an ended step wrote is in the file by then.
                let isOver = progress(try await engine.detail(run, for: caller)) == .over
                if file == nil { file = try await openIfThere() }
                if let file {
                    if watch == nil { watch = files.watch(file.path, wake: wake) }
                    offset = try await copy(file, from: offset, write)
                }
                guard !isOver else { return }
                guard await wakes.next() != nil else { throw CancellationError() }
            }
        } onGracefulShutdown: {
            wake.finish()
        }
    }

    private func openIfThere() async throws -> LogFile? {
        do {
            return try await open()
        } catch let error as EngineError where error.kind == .notFound {
            return nil
        }
    }

    private enum Progress { case toCome, over }

    /// Whether the step can still write: it is over when it has ended, or when its run has.
    private func progress(_ detail: RunDetail) -> Progress {
        guard !detail.summary.status.isFinal else { return .over }
        let number = attempt ?? detail.attempts.last?.number
        guard let record = detail.attempts.first(where: { $0.number == number }) else { return .toCome }
        let ended = record.steps.first { $0.name == step }.map { $0.exit != nil || $0.finishedAt != nil } ?? false
        let isPast = attempt.map { $0 < detail.summary.attempt } ?? false
        return ended || isPast ? .over : .toCome
    }
}

/// An open log file; closed when the last user of it is gone.
final class LogFile: Sendable {
    let path: String
    private let step: String
    private let descriptor: Int32

    /// The agent's own file; a link in its place is not followed.
    init(path: String, step: String) throws {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            guard errno != ENOENT else {
                throw EngineError(
                    .notFound, "engine.no-log", "Step '\(step)' has written no output.",
                    hint: "It may not have started yet; follow it with `postlude logs -f`.")
            }
            throw ServerError.unreadableLog(step, String(cString: strerror(errno)))
        }
        self.path = path
        self.step = step
        self.descriptor = descriptor
    }

    deinit { _ = close(descriptor) }

    /// The next bytes at `offset`, or nil at the end of the file.
    func read(at offset: Int64) throws -> ByteBuffer? {
        var buffer = ByteBufferAllocator().buffer(capacity: APILimits.logChunk)
        let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: APILimits.logChunk) { bytes in
            max(0, pread(descriptor, bytes.baseAddress, min(bytes.count, APILimits.logChunk), off_t(offset)))
        }
        return count > 0 ? buffer : nil
    }
}
