/// Checks of texts with a form: dates, times, durations, addresses.
enum InputFormats {
    /// `2026-11-22`, and a day that exists.
    static func isDate(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let year = digits(parts[0], 4), let month = digits(parts[1], 2),
            let day = digits(parts[2], 2), (1...12).contains(month)
        else { return false }
        let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return day >= 1 && day <= lengths[month - 1]
    }

    /// `2026-11-22T10:30:00Z`, a blank instead of the T, seconds, fraction and zone left out at will; or a date.
    static func isDateTime(_ text: String) -> Bool {
        if isDate(text) { return true }
        guard let separator = text.firstIndex(where: { $0 == "T" || $0 == " " || $0 == "t" }),
            isDate(String(text[..<separator]))
        else { return false }
        var time = text[text.index(after: separator)...]
        if time.hasSuffix("Z") || time.hasSuffix("z") {
            time = time.dropLast()
        } else if let sign = time.lastIndex(where: { $0 == "+" || $0 == "-" }) {
            let zone = time[time.index(after: sign)...].split(separator: ":", omittingEmptySubsequences: false)
            let isZone =
                zone.count == 1
                ? digits(zone[0], 4) != nil || digits(zone[0], 2) != nil
                : zone.count == 2 && digits(zone[0], 2) != nil && digits(zone[1], 2) != nil
            guard isZone else { return false }
            time = time[..<sign]
        }
        return isClock(time)
    }

    /// Seconds (`90`, `1.5`), a clock (`01:30:00`, `2 days, 01:30:00`), or ISO 8601 (`P1DT2H`).
    static func isDuration(_ text: String) -> Bool {
        if ExpressionText.number(text) != nil { return true }
        if let iso = text.first, iso == "P" || iso == "p" { return isPeriod(text.dropFirst()) }
        var rest = text[...]
        if let word = text.range(ofDays: ()) {
            guard Int64(text[..<word.lowerBound].trimmingBlanks) != nil else { return false }
            rest = text[word.upperBound...].trimmingBlanks
            if rest.hasPrefix(",") { rest = rest.dropFirst().trimmingBlanks }
            if rest.isEmpty { return true }
        }
        return isClock(rest)
    }

    /// A scheme and something behind it, without blanks or control characters.
    static func isURI(_ text: String) -> Bool {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return false }
        let scheme = text[..<colon].unicodeScalars
        guard let first = scheme.first, first.isASCII, first.properties.isAlphabetic else { return false }
        let isScheme = scheme.allSatisfy {
            $0.isASCII
                && ($0.properties.isAlphabetic || ExpressionLexer.isDigit($0) || "+-.".unicodeScalars.contains($0))
        }
        let rest = text[text.index(after: colon)...]
        return isScheme && rest.hasPrefix("//") && rest.count > 2
            && !rest.unicodeScalars.contains { $0.value <= 0x20 || $0.value == 0x7f }
    }

    private static func isClock(_ text: Substring) -> Bool {
        let whole = text.split(separator: ".", omittingEmptySubsequences: false)
        guard whole.count == 1 || (whole.count == 2 && (1...9).contains(whole[1].count) && isNumber(whole[1])) else {
            return false
        }
        let parts = whole[0].split(separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), let hour = digits(parts[0], 2) ?? digits(parts[0], 1) else { return false }
        return hour < 24 && parts.dropFirst().allSatisfy { (digits($0, 2) ?? 60) < 60 }
    }

    private static func isPeriod(_ text: Substring) -> Bool {
        var number = ""
        var inTime = false
        var units = 0
        for character in text.uppercased() {
            if character == "T", !inTime, number.isEmpty {
                inTime = true
            } else if (inTime ? "HMS" : "YMWD").contains(character), Double(number) != nil {
                number = ""
                units += 1
            } else if character.isASCII, character.isNumber || character == "." {
                number.append(character)
            } else {
                return false
            }
        }
        return units > 0 && number.isEmpty
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
    }

    private static func digits(_ text: Substring, _ count: Int) -> Int? {
        text.utf8.count == count && isNumber(text) ? Int(text) : nil
    }
}

extension String {
    fileprivate func range(ofDays: Void) -> Range<Index>? {
        for word in ["days", "day"] {
            var start = startIndex
            while start < endIndex {
                if self[start...].hasPrefix(word) { return start..<index(start, offsetBy: word.count) }
                start = index(after: start)
            }
        }
        return nil
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while text.first == " " { text = text.dropFirst() }
        while text.last == " " { text = text.dropLast() }
        return text
    }
}
