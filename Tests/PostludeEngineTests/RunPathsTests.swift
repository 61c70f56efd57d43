import Glibc
import PostludeCore
import Testing

@testable import PostludeEngine

@Suite(.enabled(if: geteuid() == 0, "needs root"))
struct RunPathsTests {
    private let user = UserIdentity(name: "nobody", uid: 65534, gid: 65534, home: "/nonexistent")

    private func status(_ path: String) throws -> (mode: mode_t, uid: uid_t) {
        var status = stat()
        try #require(lstat(path, &status) == 0, "\(path)")
        return (status.st_mode & 0o7777, status.st_uid)
    }

    private func prepared(_ directory: TemporaryDirectory) throws -> (RunPaths, RunID) {
        let paths = RunPaths(stateDirectory: "\(directory.path)/state")
        try paths.prepare()
        try paths.prepare()
        return (paths, RunID.random())
    }

    @Test func `the submitter owns the artifacts and the agent all above them`() throws {
        let directory = try TemporaryDirectory()
        let (paths, run) = try prepared(directory)
        for number in 1...2 { try paths.prepare(AttemptID(run: run, number: number), for: user) }
        let artifacts = paths.artifacts(run)
        for path in [artifacts, "\(artifacts)/outputs"] { #expect(try status(path) == (0o700, user.uid)) }
        #expect(try status(paths.run(run)) == (0o711, 0))
        #expect(try status(paths.attempts(run)) == (0o700, 0))
        for number in 1...2 { #expect(try status(paths.attempt(AttemptID(run: run, number: number))) == (0o755, 0)) }
        #expect(!paths.exists("\(paths.run(run))/artifacts.new"))
    }

    @Test func `a link that the submitter put in place of a directory leads nobody anywhere`() throws {
        let directory = try TemporaryDirectory()
        let (paths, run) = try prepared(directory)
        try paths.prepare(AttemptID(run: run, number: 1), for: user)
        let target = "\(directory.path)/target"
        #expect(mkdir(target, 0o755) == 0)
        let outputs = "\(paths.artifacts(run))/outputs"
        #expect(rmdir(outputs) == 0)
        #expect(symlink(target, outputs) == 0)
        try paths.prepare(AttemptID(run: run, number: 2), for: user)
        #expect(try status(target) == (0o755, 0))
        // Removed, it is not made again: it is the user's to have or not.
        #expect(unlink(outputs) == 0)
        try paths.prepare(AttemptID(run: run, number: 3), for: user)
        #expect(!paths.exists(outputs))
    }

    @Test(arguments: [false, true])
    func `what an agent left half made is completed, links excepted`(isLinked: Bool) throws {
        let directory = try TemporaryDirectory()
        let (paths, run) = try prepared(directory)
        let half = "\(paths.run(run))/artifacts.new"
        #expect(mkdir(paths.run(run), 0o711) == 0)
        #expect(mkdir(half, 0o700) == 0)
        if isLinked {
            #expect(symlink(directory.path, "\(half)/outputs") == 0)
            #expect(throws: EngineError.self) { try paths.prepare(AttemptID(run: run, number: 1), for: user) }
            #expect(try status(directory.path) == (0o755, 0))
        } else {
            try paths.prepare(AttemptID(run: run, number: 1), for: user)
            #expect(try status("\(paths.artifacts(run))/outputs") == (0o700, user.uid))
        }
    }
}
