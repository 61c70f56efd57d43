import CYaml

/// A place as the parser counts: lines and characters, both from 1 on.
struct YAMLMark {
    var line: Int
    var column: Int

    fileprivate init(_ mark: yaml_mark_t) {
        line = mark.line + 1
        column = mark.column + 1
    }
}

/// Why a file has no document.
enum YAMLFault: Error {
    /// In the parser's words.
    case syntax(String, YAMLMark)
    /// A byte that no file may hold, at this offset.
    case unreadable(String, offset: Int)
    case undefinedAlias(String, YAMLMark)
    case secondDocument(YAMLMark)
    case duplicateKey(String, YAMLMark, first: YAMLMark)
    case listAsKey(YAMLMark)
    case mappingAsKey(YAMLMark)
    case unsupportedTag(String, YAMLMark)
    case noMergeableValue(YAMLMark)
    case tooDeep(YAMLMark)
    case tooManyNodes(YAMLMark)
    case empty
    case outOfMemory
}

/// What the parser meets next in a file.
struct YAMLEvent {
    enum Kind {
        case streamEnd
        case documentStart
        case documentEnd
        case alias(String)
        case scalar(String, Style)
        case sequenceStart
        case sequenceEnd
        case mappingStart
        case mappingEnd
    }

    enum Style {
        case plain
        case quoted
        case block
    }

    var kind: Kind
    var anchor: String?
    var tag: String?
    var mark: YAMLMark
}

/// The events of libyaml, which Yams brings along. Its own trees are not used: they cost more time than everything else
/// that is done to read a file, compare keys by hashing whole collections, and tell no place of a key that is there twice.
final class YAMLEvents {
    /// It holds pointers into itself.
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)

    /// `bytes` must outlive it.
    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLFault) {
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw .outOfMemory
        }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Do not ask again after the end of the stream.
    func next() throws(YAMLFault) -> YAMLEvent {
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) == 1 else { throw fault() }
            defer { yaml_event_delete(&event) }
            if let read = Self.read(event) { return read }
        }
    }

    /// nil for what says nothing of the document.
    private static func read(_ event: yaml_event_t) -> YAMLEvent? {
        let data = event.data
        var (anchor, tag): (String?, String?)
        let kind: YAMLEvent.Kind
        switch event.type {
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_ALIAS_EVENT: kind = .alias(text(data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let bytes = UnsafeBufferPointer(start: data.scalar.value, count: data.scalar.length)
            (anchor, tag) = (text(data.scalar.anchor), text(data.scalar.tag))
            kind = .scalar(String(decoding: bytes, as: UTF8.self), style(data.scalar.style))
        case YAML_SEQUENCE_START_EVENT:
            (anchor, tag) = (text(data.sequence_start.anchor), text(data.sequence_start.tag))
            kind = .sequenceStart
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            (anchor, tag) = (text(data.mapping_start.anchor), text(data.mapping_start.tag))
            kind = .mappingStart
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        default: return nil
        }
        return YAMLEvent(kind: kind, anchor: anchor, tag: tag, mark: YAMLMark(event.start_mark))
    }

    private static func text(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        bytes.map { String(cString: $0) }
    }

    private static func style(_ style: yaml_scalar_style_t) -> YAMLEvent.Style {
        switch style {
        case YAML_SINGLE_QUOTED_SCALAR_STYLE, YAML_DOUBLE_QUOTED_SCALAR_STYLE: .quoted
        case YAML_LITERAL_SCALAR_STYLE, YAML_FOLDED_SCALAR_STYLE: .block
        default: .plain
        }
    }

    private func fault() -> YAMLFault {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it is not known why"
        return switch parser.pointee.error {
        case YAML_MEMORY_ERROR: .outOfMemory
        case YAML_READER_ERROR: .unreadable(problem, offset: parser.pointee.problem_offset)
        default: .syntax(problem, YAMLMark(parser.pointee.problem_mark))
        }
    }
}
