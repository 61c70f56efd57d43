import Glibc
import PostludeCore
import PostludeDevices

/// What a look at every process of this machine takes: once before a device is granted, once before it is free again.
struct ScanBenchmark {
    var rounds: Int

    func run() async throws {
        var status = stat()
        let candidates: [String] = ["/dev/loop-control", "/dev/fuse", "/dev/kmsg"]
        guard let path = candidates.first(where: { stat($0, &status) == 0 }) else {
            throw BenchmarkError("no character device to look for")
        }
        // Numbers below 4096 minors and 256 majors, as these have, are written so.
        let node = DeviceNode(
            path: path, major: UInt32(status.st_rdev >> 8 & 0xfff), minor: UInt32(status.st_rdev & 0xff))
        let device = Device(id: "benchmark", deviceClass: "example.com/thing", nodes: [node])
        let baseline = try ReleaseCheck.baseline(of: device)
        var samples = Samples()
        for round in -5..<rounds {
            // An idle machine is what is asked about, with caches that other things have used meanwhile.
            usleep(5_000)
            let start = now()
            _ = await ReleaseCheck.findings(of: [(device, baseline)]) { _, error in print("\(error)") }
            if round >= 0 { samples.add(now() - start) }
        }
        let processes = entries("/proc").filter { pid_t($0) != nil }
        let programs = processes.filter { access("/proc/\($0)/exe", F_OK) == 0 }
        let descriptors = programs.map { entries("/proc/\($0)/fd").count }.reduce(0, +)
        print("Looking for the holders of a device, \(rounds) times.\n")
        print(
            table(
                ["processes", "with a program", "descriptors", "p50 ms", "p99 ms"],
                [
                    [
                        "\(processes.count)", "\(programs.count)", "\(descriptors)", milliseconds(samples.median),
                        milliseconds(samples.p99),
                    ]
                ]))
        print()
    }
}
