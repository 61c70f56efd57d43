import PostludeCore
import PostludeImages
import PostludeSandbox
import PostludeThreads

extension Engine {
    /// What an image that a step names is by the configuration; nil for the host's root.
    ///
    /// - Throws: `engine.invalid-image`, `engine.image-unmapped`.
    func imageSource(_ text: String) throws(EngineError) -> (image: ImageReference, source: ImageMap.Source?) {
        guard let image = ImageReference(text) else { throw .invalidImage(text) }
        switch configuration.images.decision(on: image) {
        case .mapped(let source): return (image, source)
        case .unmappedHost: return (image, nil)
        case .refused: throw .unmappedImage(image)
        }
    }

    /// Looks at every image that the operation, its children and the hooks of all name, as far as that can be told before they run, and begins
    /// to unpack what has to be. Returns notes on those that are the host's root.
    ///
    /// - Throws: `engine.invalid-operation` with everything that is wrong with an image.
    func checkImages(
        of operation: PostludeCore.Operation, steps: [StepSpec], path: String
    ) throws(EngineError) -> [Diagnostic] {
        var named = zip(steps, operation.component.job.imagePlaces).compactMap { step, place in
            step.image.map { (image: $0, place: place) }
        }
        named += operation.laterImages
        var findings: [Diagnostic] = []
        var seen: Set<String> = []
        for (text, place) in named where seen.insert(text).inserted {
            do throws(EngineError) {
                if let note = try checkImage(text, at: place) { findings.append(note) }
            } catch {
                findings.append(Diagnostic(.error, error.code, error.message, hint: error.hint, at: place))
            }
        }
        guard !findings.contains(where: { $0.severity == .error }) else { throw .invalidOperation(path, findings) }
        return findings
    }

    private func checkImage(_ text: String, at place: SourcePlace?) throws(EngineError) -> Diagnostic? {
        let (image, source) = try imageSource(text)
        switch source {
        case nil, .host?:
            return Diagnostic(
                .note, "engine.image-on-host",
                "The image '\(text)' is \(source == nil ? "not mapped" : "mapped to the host's root"): its programs are the host's.",
                hint: "Map it under `images` in the agent's configuration for another root.", at: place)
        case .directory(let path)?:
            do throws(ImageError) { _ = try ImageDirectory.withoutLinks(path) } catch { throw EngineError(error) }
            return nil
        case .layout(let layout)?:
            do throws(ImageError) {
                _ = try images.look(layout, for: image)
            } catch {
                throw EngineError(error)
            }
            inbox.prepare(layout, image)
            return nil
        }
    }

    /// Unpacks an image before a launch asks for it, which then tells what may be wrong.
    func prepareAhead(_ layout: ImageMap.Layout, _ image: ImageReference) async {
        do {
            _ = try await images.prepare(layout, for: image)
        } catch {
            logger.debug("no image ahead, ignoring", metadata: ["image": "\(image)", "error": "\(error)"])
        }
    }

    /// As `rooting`, for as long as the attempt is to be launched; nil when its run is stopped meanwhile, for unpacking may
    /// take long.
    func rooting(_ spec: AttemptSpec, whileLaunching attempt: AttemptID) async throws -> AttemptSpec? {
        guard spec.steps.contains(where: { $0.image != nil }) else { return spec }
        return try await withThrowingTaskGroup(of: AttemptSpec?.self) { group in
            group.addTask { try await self.rooting(spec) }
            group.addTask {
                // Before the first look, so that no change is missed after it.
                var changes = self.changes().makeAsyncIterator()
                repeat {
                    guard let run = try await self.store.briefing(attempt)?.run,
                        case .launching(let active) = run.state, active.attempt == attempt.number
                    else { return nil }
                } while await changes.next() != nil
                throw CancellationError()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// The attempt with the roots of its steps, unpacked if they are not yet. The images are looked at again: what they
    /// are mapped to may be another one by now, and what a receipt names is what the step has.
    private func rooting(_ spec: AttemptSpec) async throws -> AttemptSpec {
        var spec = spec
        for index in spec.steps.indices {
            guard let text = spec.steps[index].image else { continue }
            let (image, source) = try imageSource(text)
            switch source {
            case nil, .host?:
                spec.steps[index].root = RootSource(.host, image: text)
            case .directory(let path)?:
                do throws(ImageError) {
                    spec.steps[index].rootDirectory = try ImageDirectory.withoutLinks(path)
                } catch {
                    throw EngineError(error)
                }
                spec.steps[index].root = RootSource(.directory, image: text, path: path)
            case .layout(let layout)?:
                let unpacked: ImageStore.Unpacked
                do {
                    unpacked = try await images.prepare(layout, for: image)
                } catch let error as ImageError {
                    // The agent leaves: the launch is owed still.
                    try Task.checkCancellation()
                    throw EngineError(error)
                }
                spec.steps[index].rootDirectory = unpacked.root
                spec.steps[index].root = RootSource(.oci, image: text, path: layout.path, digest: unpacked.digest)
                spec.steps[index].takeEnvironment(of: unpacked, user: spec.user)
            }
        }
        return spec
    }
}

extension Engine {
    /// Seconds for which an image stays that nobody uses: a launch may be about to.
    public static let imageIdleSeconds = 600

    /// The images that are unpacked.
    public func storedImages() async throws -> [ImageRecord] {
        let used = try await store.imagesInUse()
        let images = images
        return try await offload {
            images.stored().map { digest, usedAt in
                ImageRecord(
                    digest: digest, usedAt: Timestamp(microseconds: Int64(usedAt) * 1_000_000),
                    isInUse: used.contains(digest),
                    bytes: DirectoryUse(of: images.place(of: digest)).measured(entries: 1 << 20)?.bytes)
            }
        }
    }

    /// Removes those that no run uses which has not ended, and which nobody has wanted for `idle` seconds.
    public func pruneImages(idle: Int = imageIdleSeconds) async throws {
        let limit = Int(Timestamp.now.microseconds / 1_000_000) - idle
        let used = try await store.imagesInUse()
        let images = images
        try await offload {
            for (digest, _) in images.stored() where !used.contains(digest) {
                images.remove(digest, unlessUsedSince: limit)
            }
        }
    }
}

extension StepSpec {
    /// The image's variables, where the operation says nothing of them. Who the submitter is and where temporary files lie
    /// is never the image's to say.
    fileprivate mutating func takeEnvironment(of image: ImageStore.Unpacked, user: UserIdentity) {
        let usual = JobCompiler.usualEnvironment(of: user)
        for (name, value) in image.environment {
            guard !["HOME", "USER", "LOGNAME", "TMPDIR"].contains(name), !name.hasPrefix("POSTLUDE_"),
                !name.hasPrefix("POLYAXON_"), environment[name] == nil || environment[name] == usual[name]
            else { continue }
            switch name {
            case "PATH": environment[name] = "\(value):\(InsidePaths.programs)"
            case "PYTHONPATH": environment[name] = value.isEmpty ? usual[name] : "\(value):\(InsidePaths.python)"
            case _: environment[name] = value
            }
        }
    }
}

extension PostludeCore.Operation {
    /// Those of its hooks, of its children and of their hooks.
    fileprivate var laterImages: [(image: String, place: SourcePlace?)] {
        let hooks = (hooks + (eachHooks ?? []) + (matrix?.hooks ?? [])).flatMap(\.withNested)
        var images = hooks.flatMap(\.component.job.writtenImages)
        for node in dag?.nodes ?? [] {
            images += node.operation.laterImages
            if !node.operation.isParent { images += node.operation.component.job.writtenImages }
        }
        // What a matrix or a schedule repeats; a graph's own job is none.
        return images + (isParent && dag == nil ? component.job.writtenImages : [])
    }
}

extension JobSpec {
    /// Where the image of each step is written, in the steps' order; nil of those that have none.
    fileprivate var imagePlaces: [SourcePlace?] {
        initSteps.map { step in
            if case .container(let container) = step { container.image?.place } else { nil }
        } + (sidecars + [container]).map { $0.image?.place }
    }

    /// Images that are no templates.
    fileprivate var writtenImages: [(image: String, place: SourcePlace?)] {
        let containers =
            initSteps.compactMap { step -> ContainerSpec? in
                if case .container(let container) = step { container } else { nil }
            } + sidecars + [container]
        return containers.compactMap(\.image).filter { !$0.source.isEmpty && !Rendering.hasExpression($0.source) }
            .map { ($0.source, $0.place) }
    }
}

extension EngineError {
    init(_ error: ImageError) {
        self.init(
            error.isTemporary ? .unavailable : .badRequest, error.code, error.message, hint: error.hint)
    }

    static func invalidImage(_ text: String) -> EngineError {
        EngineError(
            .badRequest, "engine.invalid-image", "'\(text)' is no name of an image.",
            hint: "Such as python:3.11, registry.example.org/lab/train:2 or python@sha256:...")
    }

    static func unmappedImage(_ image: ImageReference) -> EngineError {
        let last = image.repository.split(separator: "/").last.map(String.init) ?? image.repository
        let name = ImageReference("\(image.repository)\(image.digest == nil ? ":\(image.tag ?? "latest")" : "")")
        let key = (name ?? image).description + (image.digest.map { "@\($0)" } ?? "")
        return EngineError(
            .badRequest, "engine.image-unmapped",
            "The image '\(image)' is not mapped to anything in the agent's configuration.",
            hint:
                "Add one of these lines to postlude.yaml, under `images:` and `map:`, for the host's own programs, a directory with a root file system, or an OCI layout: `- {image: \"\(key)\", host: true}`, `- {image: \"\(key)\", directory: /srv/roots/\(last)}`, `- {image: \"\(key)\", layout: /srv/images/\(last)}`."
        )
    }
}
