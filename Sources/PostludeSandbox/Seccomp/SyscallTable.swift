import CSeccomp

/// Names of system calls to numbers of this architecture.
enum SyscallTable {
    enum Lookup: Hashable {
        case number(Int32)
        /// A call that only other architectures have, such as `open` on arm64.
        case elsewhere
        case unknown
    }

    static func look(up name: String) -> Lookup {
        let number = seccomp_syscall_resolve_name(name)
        if number >= 0 { return .number(number) }
        if let number = late[name] { return .number(number) }
        // -1 is libseccomp's "never heard of"; other negatives stand for calls of other architectures.
        return number == -1 ? .unknown : .elsewhere
    }

    /// What libseccomp 2.5.4 (Linux 5.17) does not know. From 424 on, every architecture has the same numbers.
    private static let late: [String: Int32] = {
        var table: [String: Int32] = [
            "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
            "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459,
            "lsm_set_self_attr": 460, "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464,
            "listxattrat": 465, "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469,
            "listns": 470, "rseq_slice_yield": 471,
        ]
        #if arch(x86_64)
        table["uretprobe"] = 335
        table["uprobe"] = 336
        #endif
        return table
    }()
}
