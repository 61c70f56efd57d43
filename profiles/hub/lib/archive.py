"""Keeps what main left behind: a copy or a tar in a directory, or a copy at an rsync target."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from postlude_hub.delivery import Redactor, pause  # noqa: E402
from postlude_hub.run import Failure, Run, one_line, perform, record  # noqa: E402

RSYNC = "/usr/bin/rsync"
TARGET = re.compile(r"rsync://[^\s/-][^\s]*|[A-Za-z0-9_][A-Za-z0-9_.@-]*:[^\s:-][^\s]*")
# Statuses of rsync that another try may change: the network, a time-out, and a server that is busy (rsync(1)).
TEMPORARY = (5, 10, 12, 30, 35, 255)


def source(run):
    main = run.main
    place = pathlib.Path({
        "artifacts": os.environ.get("POSTLUDE_MAIN_ARTIFACTS", ""), "logs": os.environ.get("POSTLUDE_MAIN_LOGS", ""),
        "outputs": str(pathlib.Path(os.environ.get("POSTLUDE_MAIN_ARTIFACTS", "")) / "outputs"),
    }[run.inputs["what"]])
    if not place.is_dir():
        raise Failure(f"main '{run.name}' left no {run.inputs['what']} behind")
    return place, run.inputs.get("name") or re.sub(r"[^A-Za-z0-9._-]", "_", f"{run.name}-{main.get('uuid')}").lstrip(".-")


def size(place):
    """Files and bytes below a directory; links count as files and are not followed."""
    files = count = 0
    for directory, _, names in os.walk(place):
        for name in names:
            files += 1
            count += os.lstat(os.path.join(directory, name)).st_size
    return files, count


def copy(place, target):
    shutil.copytree(place, target, symlinks=True)


def pack(place, target):
    def plain(member):
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(target, "w:gz") as archive:
        archive.add(place, arcname=target.name.split(".tar.gz")[0], filter=plain)
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def keep(run, directory):
    place, name = source(run)
    isTar = run.inputs["format"] == "tar"
    final = directory / (name + ".tar.gz" if isTar else name)
    if os.path.lexists(final):
        raise Failure(f"'{final.name}' is there already, and is not replaced")
    unfinished = directory / f"{final.name}.{os.environ['POSTLUDE_RUN_ID']}.unfinished"
    try:
        (pack if isTar else copy)(place, unfinished)
        os.rename(unfinished, final)
    except shutil.Error as error:
        raise Failure("; ".join(f"{entry[0]}: {entry[2]}" for entry in error.args[0][:3])) from None
    finally:
        if unfinished.is_dir() and not unfinished.is_symlink():
            shutil.rmtree(unfinished, ignore_errors=True)
        elif os.path.lexists(unfinished):
            os.unlink(unfinished)
    files, count = size(place)
    record({"archive": str(final), "files": files, "bytes": count})
    print(f"kept {files} files, {count} bytes as {final.name}")


def ssh(run, connection):
    if "key" not in run.secrets:
        return []
    # A key file ends with a line's end, which ssh insists on.
    key = pathlib.Path("/tmp/archive-key")
    key.touch(mode=0o600)
    key.write_text(run.secrets["key"] + "\n", encoding="utf-8")
    words = [
        "/usr/bin/ssh", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", "StrictHostKeyChecking=yes", "-o", f"ConnectTimeout={run.inputs['timeout']}",
    ]
    if "known_hosts" in run.secrets:
        words += ["-o", f"UserKnownHostsFile={connection}/known_hosts"]
    return ["--rsh", " ".join(words)]


def send(run, target, redact):
    place, name = source(run)
    if not TARGET.fullmatch(target):
        raise Failure("the target is neither rsync://host/module/path nor host:path")
    connection = os.environ.get("POSTLUDE_CONNECTION", "")
    command = [
        RSYNC, "--archive", "--no-owner", "--no-group", "--mkpath", "--protect-args",
        f"--timeout={run.inputs['timeout']}",
    ]
    if target.startswith("rsync://"):
        command.append(f"--contimeout={run.inputs['timeout']}")
        if "password" in run.secrets:
            command.append(f"--password-file={connection}/password")
    else:
        command += ssh(run, connection)
    command += ["--", f"{place}/", f"{target.rstrip('/')}/{name}/"]
    attempts = run.inputs["attempts"]
    for tries in range(1, attempts + 1):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        except FileNotFoundError:
            raise Failure(f"{RSYNC} is not there: install rsync on the host") from None
        if done.returncode == 0:
            files, count = size(place)
            record({"archive": redact(f"{target.rstrip('/')}/{name}"), "files": files, "bytes": count})
            print(f"kept {files} files, {count} bytes at the target, try {tries}")
            return
        said = one_line(redact(done.stderr.decode("utf-8", "replace")))[:500]
        print(f"try {tries}: rsync ended with {done.returncode}: {said}", file=sys.stderr, flush=True)
        if done.returncode not in TEMPORARY or tries == attempts:
            raise Failure(f"not kept after {tries} tries: rsync ended with {done.returncode}: {said}")
        time.sleep(pause(None, tries))


def main():
    run = Run()
    redact = Redactor(run.secrets.values())
    target = run.setting("target")
    if target is not None:
        perform(lambda: send(run, str(target), redact), redact)
    else:
        directory = run.settings.get("directory") or os.environ["POSTLUDE_ARTIFACTS"]
        perform(lambda: keep(run, pathlib.Path(directory)), redact)


if __name__ == "__main__":
    main()
