import CLinux
import Glibc
import PostludeCore
import PostludeLinux

/// Looks at files with a user's rights instead of the agent's.
///
/// Credentials belong to a thread, so the work runs on a thread of its own that ends with it: no path leads back to a
/// wrong identity. Only the effective ids change; with the real and saved ones left, the user can neither signal nor
/// trace the agent meanwhile.
enum UserAccess {
    /// Runs `body` as the user and returns what it gives.
    ///
    /// - Throws: `sandbox.user-unavailable` when the identity cannot be taken, and what `body` throws.
    static func run<Value>(
        as user: UserIdentity, _ body: @escaping () throws(SandboxError) -> Value
    ) throws(SandboxError) -> Value {
        // Root's own view needs no other identity; without root there is only one identity to have.
        guard geteuid() == 0, user.uid != 0 else { return try body() }
        let work = Work(user: user, body: body)
        var thread = pthread_t()
        let started = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<AnyWork>.fromOpaque(argument).takeUnretainedValue().perform()
                return nil
            }, Unmanaged<AnyWork>.passUnretained(work).toOpaque())
        guard started == 0 else { throw .userUnavailable(user, errno: started) }
        pthread_join(thread, nil)
        guard let result = work.result else { throw .userUnavailable(user, errno: EINVAL) }
        return try result.get()
    }

    private class AnyWork {
        func perform() {}
    }

    private final class Work<Value>: AnyWork {
        let user: UserIdentity
        let body: () throws(SandboxError) -> Value
        var result: Result<Value, SandboxError>?

        init(user: UserIdentity, body: @escaping () throws(SandboxError) -> Value) {
            self.user = user
            self.body = body
        }

        override func perform() {
            do throws(SandboxError) {
                try takeIdentity()
                result = .success(try body())
            } catch {
                result = .failure(error)
            }
        }

        /// The raw calls change this thread alone, unlike the C library's.
        private func takeIdentity() throws(SandboxError) {
            let unchanged = UInt32.max
            guard linux_setgroups(user.groups.count, user.groups) == 0,
                linux_setresgid(unchanged, user.gid, unchanged) == 0,
                linux_setresuid(unchanged, user.uid, unchanged) == 0
            else { throw .userUnavailable(user, errno: errno) }
        }
    }
}

extension SandboxError {
    static func userUnavailable(_ user: UserIdentity, errno: Int32) -> SandboxError {
        SandboxError(
            code: "sandbox.user-unavailable",
            message: "Cannot look at files as '\(user.name)' (uid \(user.uid)): \(errorText(errno)).",
            hint: "Run postluded as root with CAP_SETUID and CAP_SETGID.", isTemporary: isShortage(errno))
    }
}
