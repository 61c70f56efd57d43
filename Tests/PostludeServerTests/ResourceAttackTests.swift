import Foundation
import PostludeAPI
import PostludeCore
import Testing

/// Programs that use up all they can get, beside another user's run that must not notice more than a busy machine.
@Suite(.enabled(if: isRoot)) struct ResourceAttackTests {
    struct Attack: Sendable, CustomTestStringConvertible {
        var name: String
        /// Python, as it starts everywhere and reaches every system call.
        var program: String
        var profile = "main"
        var memory = "64Mi"
        var storage = "1Gi"
        var timeout = 60
        var status: RunStatus
        var reason: String
        /// What main's output has at its end.
        var says: String?

        var testDescription: String { name }

        var text: String {
            let lines = program.split(separator: "\n", omittingEmptySubsequences: false)
            let script = lines.map { "          \($0)" }.joined(separator: "\n")
            return """
                version: 1.1
                kind: operation
                component:
                  termination: {timeout: \(timeout), gracePeriodSeconds: 1}
                  run:
                    kind: job
                    profile: \(profile)
                    container:
                      command: [/usr/bin/python3, -c]
                      resources: {limits: {memory: \(memory), cpu: 500m, ephemeral-storage: \(storage)}}
                      args:
                      - |

                """.replacingOccurrences(of: "- |\n", with: "- |\n" + script + "\n")
        }
    }

    /// Writes a file until it cannot, and says why.
    private static func fill(_ path: String) -> String {
        """
        import errno, os
        with open(f'\(path)', 'wb', buffering=0) as file:
            try:
                for _ in range(300): file.write(bytes(1 << 20))
                print('filled')
            except OSError as error: print(errno.errorcode[error.errno])
        """
    }

    /// Fills a file of the artifacts with more than there may be, and stays.
    private static func occupy(_ path: String) -> String {
        "import time\n" + fill(path) + "\ntime.sleep(1000)"
    }

    /// Takes one more of something until it cannot, and says why.
    private static func exhaust(_ prepare: String, _ take: String) -> String {
        """
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        \(prepare)
        taken = []
        try:
            while len(taken) < 2000000: taken.append(\(take))
            print('no end')
        except OSError as error: print(errno.errorcode[error.errno])
        """
    }

    static let attacks: [Attack] = [
        Attack(
            name: "fork bomb",
            program: """
                import os, time
                while True:
                    if os.fork() == 0: time.sleep(1000)
                """,
            profile: "notifier", status: .failed, reason: "PidsLimit"),
        Attack(
            name: "thread bomb",
            program: """
                import threading, time
                while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
                """,
            profile: "notifier", status: .failed, reason: "PidsLimit"),
        Attack(
            name: "zombies",
            program: """
                import os
                while True:
                    if os.fork() == 0: os._exit(0)
                """,
            profile: "notifier", status: .failed, reason: "PidsLimit"),
        Attack(
            name: "orphans that end are reaped, so that thousands fit",
            program: """
                import os
                for _ in range(2000):
                    if os.fork() == 0:
                        if os.fork() == 0: os._exit(0)
                        os._exit(0)
                    os.wait()
                print('done')
                """,
            profile: "notifier", status: .succeeded, reason: "Completed", says: "done\n"),
        Attack(
            name: "anonymous memory", program: "x = bytearray(300 << 20)", status: .failed, reason: "OOMKilled"),
        Attack(name: "memory of /tmp", program: fill("/tmp/x"), status: .failed, reason: "OOMKilled"),
        Attack(name: "memory of /dev/shm", program: fill("/dev/shm/x"), status: .failed, reason: "OOMKilled"),
        Attack(
            name: "memory of a memfd",
            program: """
                import os
                file = os.memfd_create('x')
                for _ in range(300): os.write(file, bytes(1 << 20))
                """,
            status: .failed, reason: "OOMKilled"),
        Attack(
            name: "memory of pipes",
            program: """
                import fcntl, os
                pipes = []
                for _ in range(400):
                    pipes.append(os.pipe2(os.O_NONBLOCK))
                    try:
                        fcntl.fcntl(pipes[-1][1], 1031, 1 << 20)
                        os.write(pipes[-1][1], bytes(1 << 20))
                    except OSError: os.write(pipes[-1][1], bytes(4096))
                """,
            memory: "24Mi", status: .failed, reason: "OOMKilled"),
        Attack(
            name: "page cache is not memory that anybody runs out of",
            program: fill("{os.environ[\"POSTLUDE_ARTIFACTS\"]}/x"),
            status: .succeeded, reason: "Completed", says: "filled\n"),
        Attack(
            name: "/dev/shm is as large as the profile says", program: fill("/dev/shm/x"), profile: "notifier",
            memory: "512Mi", status: .succeeded, reason: "Completed", says: "ENOSPC\n"),
        Attack(
            name: "/tmp is as large as the profile says", program: fill("/tmp/x"), profile: "notifier",
            memory: "512Mi", status: .succeeded, reason: "Completed", says: "ENOSPC\n"),
        Attack(
            name: "files in /tmp",
            program: exhaust("", "os.close(os.open(f'/tmp/{len(taken)}', os.O_CREAT))"), profile: "notifier",
            memory: "512Mi", status: .succeeded, reason: "Completed", says: "ENOSPC\n"),
        Attack(
            name: "disk, in the artifacts", program: occupy("{os.environ[\"POSTLUDE_ARTIFACTS\"]}/x"), storage: "50Mi",
            status: .failed, reason: "DiskLimit"),
        Attack(
            name: "disk, in the outputs file", program: occupy("{os.environ[\"POSTLUDE_OUTPUTS\"]}"), storage: "50Mi",
            status: .failed, reason: "DiskLimit"),
        Attack(
            name: "disk, in many small files",
            program: """
                import os, time
                place = os.environ['POSTLUDE_ARTIFACTS']
                for i in range(16000):
                    with open(f'{place}/{i}', 'w') as file: file.write('x')
                time.sleep(1000)
                """,
            storage: "50Mi", status: .failed, reason: "DiskLimit"),
        Attack(
            name: "disk, behind directories without rights",
            program: """
                import os, time
                os.chdir(os.environ['POSTLUDE_ARTIFACTS'])
                os.mkdir('d')
                file = open('d/x', 'wb')
                os.chmod('d', 0)
                for _ in range(100): file.write(bytes(1 << 20))
                time.sleep(1000)
                """,
            storage: "50Mi", status: .failed, reason: "DiskLimit"),
        Attack(
            name: "disk, everywhere else",
            program: """
                import os, stat
                bounded = {os.stat(place).st_dev for place in ('/tmp', '/var/tmp', '/dev/shm')}
                found = []
                for line in open('/proc/self/mounts'):
                    place = line.split()[1]
                    # For directories, and for what is mounted on a file.
                    for flags in (os.O_TMPFILE | os.O_WRONLY, os.O_WRONLY):
                        try: file = os.open(place, flags)
                        except OSError: continue
                        status = os.fstat(file)
                        # A mask that is the null device takes nothing.
                        if status.st_dev not in bounded and not stat.S_ISCHR(status.st_mode): found.append(place)
                print(sorted(set(found) - {os.environ['POSTLUDE_ARTIFACTS']}))
                """,
            status: .succeeded, reason: "Completed", says: "[]\n"),
        Attack(
            name: "descriptors", program: exhaust("", "os.open('/dev/null', os.O_RDONLY)"), memory: "512Mi",
            status: .succeeded, reason: "Completed", says: "EMFILE\n"),
        Attack(
            name: "inotify instances",
            program: exhaust(
                """
                def take():
                    descriptor = libc.inotify_init1(0)
                    if descriptor < 0: raise OSError(ctypes.get_errno(), '')
                    return descriptor
                """, "take()"),
            memory: "512Mi", status: .succeeded, reason: "Completed", says: "EMFILE\n"),
        Attack(
            name: "output",
            program: """
                import sys
                for _ in range(64): sys.stdout.buffer.write(bytes(1 << 20))
                """,
            profile: "notifier", status: .succeeded, reason: "LogsTruncated",
            says: "[postlude: the output is longer than 4194304 bytes; the rest is not kept]\n"),
        Attack(
            name: "processors",
            program: """
                import os
                for _ in range(8): os.fork()
                while True: pass
                """,
            timeout: 3, status: .failed, reason: "Timeout"),
        Attack(
            name: "SIGTERM ignored by all",
            program: """
                import os, signal, time
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                for _ in range(4): os.fork()
                while True: time.sleep(1000)
                """,
            timeout: 1, status: .failed, reason: "Timeout"),
        Attack(
            name: "a process that only SIGKILL wakes",
            program: """
                import os, signal
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.mkfifo('/tmp/fifo')
                # The parent waits in vfork, in state D, for a child that waits for somebody to write.
                os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, '/tmp/fifo', 0, 0)])
                """,
            timeout: 1, status: .failed, reason: "Timeout"),
    ]

    @Test func `each is bounded, ends for the right reason, and lets others work`() async throws {
        try await LiveAgent.run { agent in
            let attacker = UserIdentity(name: "nobody", uid: 65534, gid: 65534, home: "/nonexistent")
            let neighbour = UserIdentity(name: "uid-4321", uid: 4321, gid: 4321, home: "/nonexistent")
            let go = agent.work.appendingPathComponent("go").path
            let beside = try await agent.engine.submit(
                agent.submission("until [ -e '\(go)' ]; do echo tick; sleep 0.05; done"), as: neighbour
            ).summary.id
            while try await agent.client.run(beside.description).summary.status != .running {
                try await Task.sleep(for: .milliseconds(10))
            }
            for attack in Self.attacks {
                let ticks = try await agent.log(beside).count
                let submission = Submission(
                    path: "attack.yaml", text: attack.text, workingDirectory: agent.work.path, name: "attack")
                let run = try await agent.engine.submit(submission, as: attacker).summary.id
                _ = try await agent.settled(run)
                // The agent answers, and knows all of what became of it.
                let detail = try await agent.client.run(run.description)
                let end = try #require(detail.conditions.last)
                #expect(end.status == attack.status && end.reason == attack.reason, "\(attack.name): \(detail)")
                if let says = attack.says {
                    let output = try await agent.log(run)
                    #expect(output.hasSuffix(says), "\(attack.name): \(output.suffix(200))")
                }
                let main = try #require(detail.attempts.last?.steps.first { $0.role == .main })
                let usage = try #require(main.usage)
                if let peak = usage.peakMemoryBytes { #expect(peak <= 512 << 20, "\(attack.name)") }
                if attack.name == "processors", let wall = usage.wallSeconds {
                    // Half a core, and what the kernel hands out ahead.
                    let cpu = (usage.userSeconds ?? 0) + (usage.systemSeconds ?? 0)
                    #expect(cpu < wall * 0.75, "\(cpu) of \(wall)")
                }
                #expect(try await agent.client.run(beside.description).summary.status == .running, "\(attack.name)")
                while try await agent.log(beside).count <= ticks { try await Task.sleep(for: .milliseconds(20)) }
            }
            try Data().write(to: URL(fileURLWithPath: go))
            _ = try await agent.settled(beside)
            #expect(try await agent.client.run(beside.description).summary.status == .succeeded)
        }
    }
}
