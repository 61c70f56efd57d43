// The network, and sockets of others.
#include "attacker.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

// A connection that is not answered within 2 s was dropped: nothing came of it.
static long dial(const struct sockaddr *address, socklen_t size, int type) {
    int socket_ = socket(address->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return -1;
    long result = connect(socket_, address, size);
    if (result < 0 && errno == EINPROGRESS) {
        struct pollfd wait = {.fd = socket_, .events = POLLOUT};
        int error = ETIMEDOUT;
        socklen_t length = sizeof error;
        if (poll(&wait, 1, 2000) == 1) getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
        errno = error;
        result = error ? -1 : 0;
    }
    // Connecting a datagram socket only looks for a route; sending goes there.
    if (result == 0 && type == SOCK_DGRAM) result = send(socket_, "x", 1, 0);
    int number = errno;
    close(socket_);
    errno = number;
    return result;
}

static void dial4(const char *host, int port, int type, const char *what) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    TRY(dial((struct sockaddr *)&address, sizeof address, type), what);
}

static void dial6(const char *host, int port, int type, const char *what) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, host, &address.sin6_addr);
    TRY(dial((struct sockaddr *)&address, sizeof address, type), what);
}

static long dial_unix(const char *path, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (length > sizeof address.sun_path) not_run("%s is too long", path);
    memcpy(address.sun_path, path, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return dial((struct sockaddr *)&address, size, SOCK_STREAM);
}

// The suite listens on this port of the host's loopback.
static void nt01(void) {
    int port = atoi(fact("ATTACK_PORT"));
    dial4("127.0.0.1", port, SOCK_STREAM, "127.0.0.1");
    dial6("::1", port, SOCK_STREAM, "::1");
    dial4("8.8.8.8", 53, SOCK_STREAM, "8.8.8.8:53");
    dial4("8.8.8.8", 53, SOCK_DGRAM, "udp 8.8.8.8:53");
    dial4("169.254.169.254", 80, SOCK_STREAM, "169.254.169.254");
}

static void nt02(void) {
    char name[108] = {0};
    const char *given = fact("ATTACK_ABSTRACT");
    size_t length = strlen(given);
    if (length > sizeof name - 1) not_run("the name is too long");
    memcpy(name + 1, given, length);
    TRY(dial_unix(name, length + 1), "abstract socket of the host");
}

static void nt04(void) {
    not_run("the notifier is given the host's network, without a policy for addresses");
}

static void nt06(void) {
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return refused(errno_name(errno), "socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    TRY(bind(socket_, (struct sockaddr *)&address, sizeof address) == 0 ? listen(socket_, 1) : -1, "bind, listen");
}

static void nt08(void) {
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
    } request = {.head = {.nlmsg_len = sizeof request,
                          .nlmsg_type = RTM_NEWLINK,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
                 .link = {.ifi_index = 1, .ifi_change = 0}};
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (netlink < 0) {
        refused(errno_name(errno), "socket(NETLINK_ROUTE)");
    } else {
        struct {
            struct nlmsghdr head;
            struct nlmsgerr error;
            char rest[256];
        } answer;
        send(netlink, &request, sizeof request, 0);
        if (recv(netlink, &answer, sizeof answer, 0) < 0) not_run("netlink: %s", errno_name(errno));
        errno = -answer.error.error;
        attempt(answer.error.error, "RTM_NEWLINK");
    }
    int plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (plain < 0) return refused(errno_name(errno), "socket(AF_INET)");
    struct ifreq interface = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    TRY(ioctl(plain, SIOCSIFFLAGS, &interface), "SIOCSIFFLAGS lo");
}

static void nt09(void) {
    not_run("profiles show the host's /etc/resolv.conf and /etc/hosts read-only; none has a resolver of its own");
}

static void sc18(void) {
    TRY(socket(AF_PACKET, SOCK_RAW, 0), "AF_PACKET");
    TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "AF_INET RAW");
    TRY(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "AF_INET6 RAW");
    TRY(socket(44 /* AF_XDP */, SOCK_RAW, 0), "AF_XDP");
    TRY(socket(AF_INET, SOCK_PACKET, 0), "SOCK_PACKET");
}

// CVE-2024-1086 and its like begin with a socket to nf_tables.
static void a34(void) {
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), "NETLINK_NETFILTER");
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM), "NETLINK_XFRM");
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), "NETLINK_AUDIT");
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT), "NETLINK_KOBJECT_UEVENT");
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), "NETLINK_GENERIC");
    TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), "NETLINK_SOCK_DIAG");
    // Bit 32 of the family and of the protocol.
    TRY(syscall(SYS_socket, 1UL << 32 | AF_NETLINK, SOCK_RAW, 1UL << 32 | NETLINK_NETFILTER), "and bit 32");
}

// Families that load modules when they are asked for.
static void a62(void) {
    for (int family = 3; family < 46; family++) {
        if (family == AF_INET6 || family == AF_NETLINK) continue;
        char what[16];
        snprintf(what, sizeof what, "family %d", family);
        TRY(socket(family, SOCK_DGRAM, 0), what);
        TRY(socket(family, SOCK_STREAM, 0), what);
        TRY(socket(family, SOCK_SEQPACKET, 0), what);
    }
    int pair[2];
    TRY(socketpair(30 /* AF_TIPC */, SOCK_STREAM, 0, pair), "socketpair(TIPC)");
}

static void a63(void) {
    TRY(socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */), "MPTCP");
    TRY(socket(AF_INET6, SOCK_STREAM, 262), "MPTCP over IPv6");
    TRY(syscall(SYS_socket, AF_INET, SOCK_STREAM, 1UL << 32 | 262), "MPTCP and bit 32");
}

static void a64(void) {
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return refused(errno_name(errno), "socket");
    int one = 1, many = 1 << 28;
    TRY(setsockopt(socket_, SOL_SOCKET, SO_MARK, &one, sizeof one), "SO_MARK");
    TRY(setsockopt(socket_, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof one), "IP_TRANSPARENT");
    TRY(setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &many, sizeof many), "SO_RCVBUFFORCE");
    TRY(setsockopt(socket_, SOL_SOCKET, SO_DEBUG, &one, sizeof one), "SO_DEBUG");
}

static void a65(void) {
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return refused(errno_name(errno), "socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0x7f000001)};
    TRY(bind(socket_, (struct sockaddr *)&address, sizeof address), "port 1");
}

// Sockets with names of the host: the agent's own, container runtimes', buses.
static void connect_path(const char *path) {
    TRY(dial_unix(path, strlen(path) + 1), path);
}

static void a59(void) { each_path(fact("ATTACK_SOCKETS"), connect_path); }

// What another run, of the same user and under way, listens on.
static void a79(void) {
    char name[108] = {0};
    const char *given = fact("ATTACK_NEIGHBOUR");
    snprintf(name + 1, sizeof name - 1, "%s", given);
    TRY(dial_unix(name, strlen(given) + 1), "abstract socket of another run");
    dial4("127.0.0.1", atoi(fact("ATTACK_NEIGHBOUR_PORT")), SOCK_STREAM, "port of another run");
}

const attack network_attacks[] = {
    {"NT01", nt01, 30, false}, {"NT02", nt02, 0, true},  {"NT04", nt04, 0, false}, {"NT06", nt06, 0, true},
    {"NT08", nt08, 0, true},   {"NT09", nt09, 0, false}, {"SC18", sc18, 0, true},  {"A34", a34, 0, true},
    {"A59", a59, 0, true},     {"A62", a62, 0, false},    {"A63", a63, 0, true},    {"A64", a64, 0, true},
    {"A65", a65, 0, false},    {"A79", a79, 0, false},   {NULL, NULL, 0, false},
};
