import Glibc
import PostludeLinux
import Testing

struct CgroupLayoutTests {
    private let hybridMounts = """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:4 - cgroup cgroup rw,pids
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
        """

    @Test func `a hybrid host has its controllers in v1 hierarchies`() throws {
        let layout = try #require(
            CgroupLayout.parse(
                membership: "9:name=systemd:/\n8:pids:/user\n4:memory:/a b:c\n1:cpu,cpuacct:/\n0::/user/x\n",
                mountinfo: hybridMounts))
        #expect(layout.isHybrid)
        #expect(layout.unified == "/sys/fs/cgroup/unified/user/x")
        #expect(layout.legacy[.memory] == "/sys/fs/cgroup/memory/a b:c")
        #expect(layout.legacy[.pids] == "/sys/fs/cgroup/pids/user")
        #expect(layout.legacy[.cpu] == "/sys/fs/cgroup/cpu,cpuacct")
        #expect(layout.legacy[.cpuacct] == layout.legacy[.cpu])
        #expect(layout.legacy[.devices] == nil)
        #expect(layout.directory(of: .devices) == layout.unified)
        #expect(layout.directories.count == 4)
    }

    @Test func `a pure v2 host has one hierarchy`() throws {
        var layout = try #require(
            CgroupLayout.parse(
                membership: "0::/system.slice/postluded.service\n",
                mountinfo: "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"))
        #expect(!layout.isHybrid)
        #expect(layout.unified == "/sys/fs/cgroup/system.slice/postluded.service")
        #expect(layout.directory(of: .memory) == nil)
        layout.unifiedControllers = ["memory", "pids"]
        #expect(layout.directory(of: .memory) == layout.unified)
        #expect(layout.directory(of: .cpu) == nil)
        #expect(layout.directory(of: .cpuacct) == layout.unified)
    }

    @Test func `a mount that shows a part of the hierarchy, in an escaped place`() throws {
        let layout = try #require(
            CgroupLayout.parse(
                membership: "0::/docker/c1/job\n",
                mountinfo: "30 23 0:26 /docker/c1 /mnt/a\\040b rw - cgroup2 cgroup2 rw\n"))
        #expect(layout.unified == "/mnt/a b/job")
    }

    @Test func `a process outside of what is mounted has no layout`() {
        #expect(CgroupLayout.parse(membership: "0::/../x\n", mountinfo: hybridMounts) == nil)
        #expect(CgroupLayout.parse(membership: "0::/\n", mountinfo: "") == nil)
        #expect(CgroupLayout.parse(membership: "nonsense", mountinfo: "nonsense - cgroup2") == nil)
    }

    @Test func `this host's layout names directories that exist`() throws {
        let layout = try CgroupLayout.discover()
        for directory in layout.directories { #expect(access(directory + "/cgroup.procs", F_OK) == 0) }
    }
}
