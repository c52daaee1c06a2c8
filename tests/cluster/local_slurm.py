"""A real SLURM of two nodes on one machine, up in seconds: ``python tests/cluster/local_slurm.py COMMAND…``.

Everything lives in namespaces of its own: the loopback network, the process ids, and the folders where
munge and SLURM expect their files. When the first process of the namespace ends, however it ends, the kernel
takes the daemons, the jobs and the mounts with it, so nothing is left behind, not even after kill -9.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "unshare", "nsenter", "ip")
GPU_NODE, CPU_NODE = "n1", "n2"
NODE_PORTS = {GPU_NODE: 17003, CPU_NODE: 17004}
SYSTEM_FOLDERS = ("/etc/slurm", "/run/munge", "/var/spool")
STATE = Path("/var/spool/lorascope")
SECONDS_TO_START = 30.0
SECONDS_UNTIL_DOWN = 5
READY = "ready\n"

SLURM_CONF = """\
ClusterName=lorascope
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=17002
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={state}/ctld
SlurmctldPidFile={state}/slurmctld.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdSpoolDir={state}/%n
SlurmdPidFile={state}/%n.pid
SlurmdLogFile={state}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=defer_batch,sched_interval=2,bf_interval=1
MpiDefault=none
ReturnToService=2
SlurmdTimeout={timeout}
InactiveLimit=0
KillWait=2
MinJobAge=86400
GresTypes=gpu
NodeName=DEFAULT CPUs=2 RealMemory=16000
NodeName={gpu_node} NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu_port} Gres=gpu:1
NodeName={cpu_node} NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu_port}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# A device file that is always there stands for the GPU: SLURM counts it, nobody computes on it.
GRES_CONF = f"AutoDetect=off\nNodeName={GPU_NODE} Name=gpu File=/dev/zero\n"


def why_not() -> str | None:
    """Return why no SLURM can be started here, or None."""
    if missing := [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)"
    if os.geteuid() != 0:
        return "namespaces for the daemons need root"
    probe = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"no namespaces here: {probe.stderr.strip()}"


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _unshare() -> list[str]:
    return ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]


# As the attributes of Job.
JOB_COLUMNS = (
    "JobArrayID",
    "State",
    "NodeList",
    "tres-per-job",
    "MinMemory",
    "StartTime",
    "EndTime",
    "Comment",
)


@dataclass(frozen=True)
class Job:
    """One job as SLURM lists it.

    Attributes:
        number: its id, with the place in its array.
        state: PENDING, RUNNING, COMPLETED and so on.
        node: where it runs or ran.
        gpus: what it asked for, or "N/A".
        memory: what it asked for, with its unit.
        start, end: local times, to the second.
        comment: names the rule and the wildcards.
    """

    number: str
    state: str
    node: str
    gpus: str
    memory: str
    start: str
    end: str
    comment: str


class Cluster:
    """A running SLURM, seen from outside its namespaces.

    Attributes:
        inside: start of a command line that runs the rest inside.
    """

    def __init__(self, first_process: int):
        self.inside = ["nsenter", "--target", str(first_process), "--mount", "--pid", "--net", "--"]

    def run(self, *command: str) -> str:
        """Run a command inside; return what it printed."""
        done = subprocess.run([*self.inside, *command], capture_output=True, text=True, check=True)
        return done.stdout

    def jobs(self) -> list[Job]:
        """Return all jobs that were submitted, also those that ended."""
        layout = ",".join(f"{column}:|" for column in JOB_COLUMNS)
        listed = self.run("squeue", "--noheader", "--array", "--states=all", f"--Format={layout}")
        return [Job(*line.split("|")[: len(JOB_COLUMNS)]) for line in listed.splitlines()]

    def lose_node(self, node: str) -> None:
        """Kill a node's slurmd and everything that runs there, as a power cut would."""
        self.run(sys.executable, __file__, "--lose-node", node)

    def restore_node(self, node: str) -> None:
        """Start a node's slurmd again."""
        self.run("slurmd", "-N", node)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Bring up a cluster, and take it down with all that runs in it.

    Raises:
        RuntimeError: it did not come up; the message holds the daemons' logs.
    """
    server = [*_unshare(), sys.executable, __file__, "--serve"]
    environment = {**os.environ, "PATH": _path()}
    # Nothing is written to its input: that this end closes tells the server that we are gone.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(server, env=environment, text=True, **pipes) as holder:
        try:
            if holder.stdout.readline() != READY:
                raise RuntimeError(f"SLURM did not come up:\n{holder.stdout.read()}")
            yield Cluster(_child_of(holder.pid))
        finally:
            holder.kill()


def _child_of(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


# inside the namespaces


def _serve() -> None:
    """Start the daemons, say when the nodes are idle, and stay: as the first process, this one keeps them."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The state lies in memory too: it goes with the last process of the namespaces.
    for folder in SYSTEM_FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        subprocess.check_call(["mount", "-t", "tmpfs", "none", folder])
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    # The resolver answers nothing where 127.0.0.1 is the only address; this one is reserved for examples.
    subprocess.check_call(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"])
    _write_settings()
    _start_munge()
    for command in (["slurmctld"], *(["slurmd", "-N", node] for node in NODE_PORTS)):
        subprocess.check_call(command)
    deadline = time.monotonic() + SECONDS_TO_START
    while _idle_nodes() < len(NODE_PORTS):
        if time.monotonic() > deadline:
            print(*(path.read_text() for path in sorted(STATE.glob("*.log"))), sep="\n")
            sys.exit(1)
        time.sleep(0.05)
    print(READY, end="", flush=True)
    while True:
        os.wait()  # for orphans: the daemons are among them, so that there always is one


def _end_with_parent() -> None:
    """Wait until whoever started this is gone, and end."""
    sys.stdin.buffer.read()
    os._exit(0)


def _write_settings() -> None:
    settings = SLURM_CONF.format(
        host=os.uname().nodename,
        state=STATE,
        timeout=SECONDS_UNTIL_DOWN,
        gpu_node=GPU_NODE,
        gpu_port=NODE_PORTS[GPU_NODE],
        cpu_node=CPU_NODE,
        cpu_port=NODE_PORTS[CPU_NODE],
    )
    # Jobs do not inherit SLURM_CONF: the settings must lie where SLURM looks by itself.
    Path("/etc/slurm/slurm.conf").write_text(settings)
    Path("/etc/slurm/gres.conf").write_text(GRES_CONF)
    for folder in ("ctld", *NODE_PORTS):
        (STATE / folder).mkdir(parents=True)


def _start_munge() -> None:
    key = STATE / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    Path("/run/munge").chmod(0o755)
    # Forced, because munged mistrusts a socket and a key below a folder that everybody may write to.
    files = ("key", "pid", "log", "seed")
    flags = [f"--{name}-file={STATE}/munge.{'txt' if name == 'log' else name}" for name in files]
    subprocess.check_call(["munged", "--force", *flags], stderr=subprocess.DEVNULL)


def _idle_nodes() -> int:
    done = subprocess.run(["sinfo", "--noheader", "-N", "-t", "idle"], capture_output=True, check=False)
    return len(done.stdout.splitlines())


def _lose_node(node: str) -> None:
    # First the daemon, which would report the end of its jobs.
    os.kill(int((STATE / f"{node}.pid").read_text()), signal.SIGKILL)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            of_node = f"SLURMD_NODENAME={node}".encode() in (process / "environ").read_bytes().split(b"\0")
            if of_node:
                os.kill(int(process.name), signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run a command in a cluster of its own; return its exit code."""
    if arguments[:1] == ["--serve"]:
        _serve()
    if arguments[:1] == ["--lose-node"]:
        _lose_node(arguments[1])
        return 0
    if reason := why_not():
        print(f"no SLURM: {reason}", file=sys.stderr)
        return 2
    with cluster() as running:
        return subprocess.call([*running.inside, *(arguments or ["bash"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
