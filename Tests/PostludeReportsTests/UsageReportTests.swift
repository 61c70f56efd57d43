import PostludeCore
import Testing

@testable import PostludeReports

@Suite struct UsageReportTests {
    @Test func `the table has a line for each run, its steps below it, and hooks below their main`() {
        #expect(
            UsageReport.table(Samples.digits) == [
                "RUN       NAME / STEP      STATUS     WAITED   WALL    CPU  PEAK MEM     DISK  DEVICE  RELEASE  DEVICES",
                "01234567  digits           succeeded    12ms  12.8s  12.0s         -  5.0 MiB   12.8s    4.2ms  gpu0",
                "            init-0         0                  400ms  150ms   9.0 MiB",
                "            main           0                  12.3s  11.5s   200 MiB  5.0 MiB   12.8s    4.2ms",
                "            sidecar-watch  SIGTERM            12.2s  300ms         -",
                "fedcba98  ↳ evaluate       failed          -  250ms      -         -        -",
                "              main         exit 3                 -      -         -        -",
            ])
    }

    @Test func `what is not known is a dash in the table and empty in CSV, never 0`() {
        let record = Samples.record("main", .main, exit: nil, usage: nil, seconds: nil)
        let table = UsageReport.table([record])
        #expect(table.allSatisfy { !$0.contains(" 0") })
        let cells = UsageReport.csv([record]).split(separator: "\r\n")[1].split(
            separator: ",", omittingEmptySubsequences: false)
        #expect(cells[10] == "" && cells[12] == "" && cells[14...29].allSatisfy(\.isEmpty))
    }

    @Test func `CSV has a row for each step with plain numbers`() {
        let rows = UsageReport.csv(Samples.digits).split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(rows.count == 6 && rows.last == "")
        #expect(
            rows[3]
                == "\(Samples.main),digits,default,ada,,,1,main,main,succeeded,0,2026-03-01T12:00:00.500Z,2026-03-01T12:00:12.750Z,0.012300,12.250000,11.000000,0.500000,209715200,,,,,,,,,12.800000,0.004200,gpu0,5242880"
        )
    }

    @Test func `attempts of a run are told apart and their device seconds add up`() {
        var first = Samples.record("main", .main, exit: .code(1))
        first.devices = ["gpu0"]
        first.deviceSeconds = 1
        var second = first
        second.attempt = 2
        second.exit = .code(0)
        let lines = UsageReport.table([first, second])
        #expect(lines[1].contains("2.00s") && lines[2].contains("#1 main") && lines[3].contains("#2 main"))
    }

    @Test func `a hook whose main is not listed stands by itself, and one of a hook below that`() {
        var orphan = Samples.record("main", .main, run: Samples.hook)
        orphan.upstream = Samples.main
        var nested = Samples.record("main", .main, run: Samples.id("00000000000000000000000000000001"))
        nested.upstream = Samples.hook
        #expect(UsageReport.runs([nested, orphan]).map(\.run) == [Samples.hook, nested.run])
    }

    @Test func `no records make a heading and nothing else`() {
        #expect(UsageReport.table([]).count == 1)
        let heading = UsageReport.csv([])
        #expect(heading.hasPrefix("run,name,") && heading.hasSuffix("devices,artifacts_bytes\r\n"))
    }
}
