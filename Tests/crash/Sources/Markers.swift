import Foundation

/// What the jobs themselves wrote, in the order in which it was written: each line was one append to one file.
struct Markers {
    struct Line {
        /// `+` at a program's start, `.` while it holds a device, `-` at its end.
        var mark: Character
        var run: String
        var attempt: Int
        var step: String
        /// nil where it has none.
        var device: String?
    }

    var lines: [Line] = []
    /// Lines that no job writes.
    var broken: [String] = []

    init(path: String) {
        for text in (text(of: path) ?? "").split(separator: "\n") {
            let words = text.split(separator: " ")
            guard words.count == 5, let mark = words[0].first, let attempt = Int(words[2]) else {
                broken.append(String(text))
                continue
            }
            lines.append(
                Line(
                    mark: mark, run: String(words[1]), attempt: attempt, step: String(words[3]),
                    device: words[4] == "-" ? nil : String(words[4])))
        }
    }

    /// How often a program of the step wrote the mark.
    func count(_ mark: Character, _ run: String, _ attempt: Int, _ step: String) -> Int {
        lines.count { $0.mark == mark && $0.run == run && $0.attempt == attempt && $0.step == step }
    }

    /// Programs that were started twice, attempts of a run that overlap, and devices that two attempts had at a time.
    var violations: [String] {
        var found = broken.map { "markers: a line that no job writes: '\($0)'" }
        var starts: Set<String> = []
        var latest: [String: Int] = [:]
        var holders: [String: (now: String, before: Set<String>)] = [:]
        for line in lines {
            let attempt = "\(line.run).\(line.attempt)"
            if line.mark == "+", !starts.insert("\(attempt)/\(line.step)").inserted {
                found.append("double start: \(line.step) of \(attempt) was started twice")
            }
            if line.attempt < latest[line.run] ?? 0 {
                found.append("P2: \(attempt) went on after the next attempt had begun")
            }
            latest[line.run] = max(latest[line.run] ?? 0, line.attempt)
            guard let device = line.device else { continue }
            var holder = holders[device] ?? (attempt, [])
            if holder.now != attempt { holder = (attempt, holder.before.union([holder.now])) }
            if holder.before.contains(attempt) { found.append("P2: \(attempt) had \(device) after another had it") }
            holders[device] = holder
        }
        return found
    }

    /// The first and the last line of each run.
    var spans: [String: (first: Int, last: Int)] {
        var spans: [String: (first: Int, last: Int)] = [:]
        for (index, line) in lines.enumerated() {
            spans[line.run] = (spans[line.run]?.first ?? index, index)
        }
        return spans
    }
}
