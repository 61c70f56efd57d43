#!/usr/bin/env bash
# Runs a command as root in a small virtual machine whose cgroups are pure v2, and exits as the command did.
#
#   Tests/guest/run.sh [options] COMMAND [ARGUMENT...]
#
# The machine is emulated (no hardware support is needed): Debian's cloud kernel, a root file system made of this host's
# programs and libraries, and the package's profiles, examples and built products at the same paths as here. Nothing of
# the host is writable from inside, and nothing that the command writes is kept. COMMAND runs in the package's directory.
#
#   --cgroup delegated   COMMAND starts alone in a cgroup of its own with every controller, as a systemd unit with
#                        Delegate=yes does (the default)
#   --cgroup root        COMMAND starts in the root cgroup
#   --products DIR       where the built products are (default .build/debug)
#   --program NAME       also take this program of the host along (repeatable)
#   --file PATH          also take this file or directory of the host along (repeatable)
#   --timeout SECONDS    give up after this long (default 480), exit status 124
#   --memory MIB         memory of the machine (default 2048)
#   --verbose            show the kernel's console
#
# Exit status: the command's; 124 when the time is over; 125 when the machine could not be made or did not end
# properly.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cache=${POSTLUDE_GUEST_CACHE:-$root/.build/guest}
products=$root/.build/debug
cgroup=delegated
timeout=480
memory=2048
verbose=
programs=()
files=()

fail() {
    echo "guest: $*" >&2
    exit 125
}

while [[ $# -gt 0 ]]; do
    case $1 in
        --cgroup) cgroup=$2; shift 2 ;;
        --products) products=$(realpath -s "$2"); shift 2 ;;
        --program) programs+=("$2"); shift 2 ;;
        --file) files+=("$2"); shift 2 ;;
        --timeout) timeout=$2; shift 2 ;;
        --memory) memory=$2; shift 2 ;;
        --verbose) verbose=1; shift ;;
        --) shift; break ;;
        -*) fail "unknown option $1" ;;
        *) break ;;
    esac
done
[[ $# -gt 0 ]] || fail "a command is missing"
[[ $cgroup == delegated || $cgroup == root ]] || fail "--cgroup takes delegated or root"
[[ $(uname -m) == x86_64 ]] || fail "the guest needs an x86_64 host"
for tool in qemu-system-x86_64 mke2fs dpkg-deb apt-get; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" > /dev/null || fail "$tool is missing; hint: make setup-guest"
done
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$cache"
# One machine at a time: they share the cache.
exec 9> "$cache/lock"
flock 9

# The kernel: Debian's package, unpacked and not installed. NVMe and ext4 are built into it, so it needs no
# initramfs; a few modules make devices to test with.
if [[ ! -s $cache/vmlinuz || ! -d $cache/modules ]]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ {print $2; exit}')
    [[ -n $package ]] || fail "apt knows no linux-image-cloud-amd64; hint: apt-get update"
    download=$(mktemp -d "$cache/kernel.XXXXXX")
    (cd "$download" && apt-get download "$package" > log 2>&1) || fail "cannot download $package: $(tail -n 3 "$download/log")"
    dpkg-deb --fsys-tarfile "$download"/*.deb \
        | tar -x -C "$download" --wildcards './boot/vmlinuz-*' '*/fuse.ko*' '*/loop.ko*' '*/tun.ko*'
    rm -rf "$cache/modules"
    mkdir "$cache/modules.new"
    find "$download" -name '*.ko*' -exec mv {} "$cache/modules.new/" \;
    mv "$cache/modules.new" "$cache/modules"
    mv "$download"/boot/vmlinuz-* "$cache/vmlinuz"
    rm -rf "$download"
fi

# Directories that are symbolic links on a merged /usr.
canonical() {
    if [[ -L /bin ]]; then sed -E 's#^/(bin|sbin|lib|lib32|lib64|libx32)(/|$)#/usr/\1\2#'; else cat; fi
}

# Everything the root file system holds, one path of the host a line.
base_list() {
    local packages=(base-files bash coreutils dash findutils grep sed mawk util-linux mount procps hostname kmod iproute2
        'python3*-minimal' 'libpython3*-minimal' 'libpython3*-stdlib')
    local known=() program found=()
    mapfile -t known < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2> /dev/null | sed -n 's/^installed //p')
    dpkg -L "${known[@]}" | grep -vE '^/usr/share/(doc|man|locale|info|lintian|bug)/' | canonical > "$cache/list"
    for program in "${programs[@]}"; do
        found+=("$(command -v "$program")") || fail "$program: no such program"
    done
    printf '%s\n' "${found[@]}" "${files[@]}" | canonical >> "$cache/list"
    for path in /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache /etc/ld.so.conf /etc/hosts /etc/alternatives/awk; do
        if [[ -e $path ]]; then echo "$path"; fi
    done >> "$cache/list"
    # The Swift runtime, also what is only opened by name at run time.
    local runtime
    runtime=$(swift -print-target-info | sed -nE '/runtimeLibraryPaths/,/]/s/^ *"(\/[^"]*)",?$/\1/p' | head -n 1)
    find "$runtime" -maxdepth 1 -name '*.so' >> "$cache/list"
    # What the programs are linked to. A link's own path and the file it points to are both needed.
    {
        grep -E '/(s?bin|lib-dynload)/' "$cache/list"
        for path in "${built[@]}"; do echo "$path"; done
    } | sort -u | while read -r path; do if [[ -f $path ]]; then echo "$path"; fi; done \
        | { xargs ldd 2> /dev/null || true; } | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^\s+(\/[^ ]+) .*/\1/p' | sort -u > "$cache/libraries"
    canonical < "$cache/libraries" | while read -r path; do echo "$path"; realpath "$path"; done >> "$cache/list"
    sort -u "$cache/list" | grep -v -x '/\.*' | while read -r path; do
        if [[ -e $path || -L $path ]]; then echo "${path#/}"; fi
    done
}

# Packs a directory into an image; $3 is how much room is left in it, in MiB.
pack() {
    local size
    size=$(du -sm --apparent-size "$1" | cut -f 1)
    rm -f "$2.new"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -i 8192 -E root_owner=0:0,lazy_itable_init=1 -d "$1" "$2.new" "$((size * 5 / 4 + $3))m" > /dev/null \
        || fail "cannot make $2"
    mv "$2.new" "$2"
}

built=()
for path in "$products"/*.xctest "$products"/postlude{,d,-warden,-output,-bench,-attacker,-knockout}; do
    if [[ -f $path ]]; then built+=("$path"); fi
done

base_list > "$cache/base.files"
stamp=$( (cat "$0" "$root/Tests/guest/init" "$cache/base.files"; cd / && xargs stat -c '%n %s %Y' < "$cache/base.files") | sha256sum)
if [[ ! -s $cache/base.img || $(cat "$cache/base.stamp" 2> /dev/null) != "$stamp" ]]; then
    rm -rf "$cache/base"
    mkdir -p "$cache/base"/{dev,proc,sys,run,tmp,root,guest,var/tmp,var/lib,etc,home,mnt,opt,usr/bin,usr/sbin,usr/lib,usr/lib64}
    if [[ -L /bin ]]; then
        for name in bin sbin lib lib64; do ln -s "usr/$name" "$cache/base/$name"; done
    fi
    tar -C / --no-recursion -cf - -T "$cache/base.files" | tar -C "$cache/base" -xf - --no-overwrite-dir --keep-directory-symlink
    for path in "${files[@]}"; do
        if [[ -d $path ]]; then mkdir -p "$cache/base$path" && cp -a "$path/." "$cache/base$path/"; fi
    done
    cp "$root/Tests/guest/init" "$cache/base/guest/init"
    cp -R "$cache/modules" "$cache/base/guest/modules"
    chmod 755 "$cache/base/guest/init"
    chmod 1777 "$cache/base/tmp"
    # Of its own: the host's is nobody's business.
    echo 'root:*:20000:0:99999:7:::' > "$cache/base/etc/shadow"
    chmod 600 "$cache/base/etc/shadow"
    mkdir -p "$cache/base$root"
    pack "$cache/base" "$cache/base.img" 256
    echo "$stamp" > "$cache/base.stamp"
    rm -rf "$cache/base"
fi

# The package as it is now, mounted at its own path.
rm -rf "$cache/package"
mkdir -p "$cache/package"
for name in profiles Examples Package.swift Makefile; do
    if [[ -e $root/$name ]]; then cp -a "$root/$name" "$cache/package/"; fi
done
if [[ -d $products ]]; then
    real=$(realpath "$products")
    inside=$cache/package${real#"$root"}
    mkdir -p "$inside"
    if [[ $real != "$products" ]]; then ln -s "${real#"$root/.build/"}" "$cache/package${products#"$root"}"; fi
    for path in "${built[@]}"; do cp -L "$path" "$inside/"; done
    for path in "$products"/*.resources; do
        if [[ -d $path ]]; then cp -a "$path" "$inside/"; fi
    done
fi
{
    printf 'cd %q\n' "$root"
    printf 'export HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin POSTLUDE_GUEST=%q\n' "$cgroup"
    printf 'exec'
    printf ' %q' "$@"
    echo
} > "$cache/package/.guest-command"
pack "$cache/package" "$cache/package.img" 64
rm -rf "$cache/package"

console=$cache/console.log
: > "$console"
status=0
timeout --foreground "$timeout" qemu-system-x86_64 \
    -accel tcg,thread=multi,tb-size=512 -machine pc,hpet=off -cpu max,la57=off -smp "$(nproc)" -m "$memory" \
    -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$cache/vmlinuz" \
    -append "root=/dev/nvme0n1 rw init=/guest/init console=ttyS0 quiet panic=-1 cgroup_no_v1=all mitigations=off nokaslr no_timer_check guest.package=$root guest.cgroup=$cgroup" \
    -drive "file=$cache/base.img,format=raw,if=none,id=base,snapshot=on" -device nvme,drive=base,serial=base \
    -drive "file=$cache/package.img,format=raw,if=none,id=package,snapshot=on" -device nvme,drive=package,serial=package \
    -serial "file:$console" -chardev stdio,id=output,signal=off -serial chardev:output \
    < /dev/null || status=$?

[[ -z $verbose ]] || cat "$console" >&2
if [[ $status == 124 ]]; then
    echo "guest: gave up after $timeout s" >&2
    exit 124
fi
result=$(tr -d '\r' < "$console" | sed -n 's/^guest-status //p')
if [[ -z $result ]]; then
    tail -n 20 "$console" >&2
    fail "the machine ended without a result (status $status)"
fi
exit "$result"
