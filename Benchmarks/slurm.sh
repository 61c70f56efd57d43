#!/usr/bin/env bash
# A Slurm of one node in a directory of its own, set up for the shortest waits: no munge, no accounting, no cgroups, the
# scheduler called at once. `start DIR CPUS` prints the path of its configuration (SLURM_CONF); `stop DIR` ends its daemons.
set -euo pipefail
directory=$2
case $1 in
    start)
        mkdir -p "$directory"/{state,spool}
        host=$(hostname)
        cat > "$directory/slurm.conf" <<CONF
ClusterName=bench
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool
SlurmctldPidFile=$directory/slurmctld.pid
SlurmdPidFile=$directory/slurmd.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdLogFile=$directory/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1,default_queue_depth=1000
CompleteWait=0
MessageTimeout=10
MaxJobCount=200000
MinJobAge=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=${3:-2} State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
        export SLURM_CONF=$directory/slurm.conf
        slurmctld > /dev/null 2>&1
        slurmd > /dev/null 2>&1
        for _ in $(seq 300); do
            if sinfo -h -o %T 2> /dev/null | grep -q idle; then
                echo "$SLURM_CONF"
                exit 0
            fi
            sleep 0.1
        done
        tail -n 5 "$directory"/slurm*.log >&2
        echo "slurm: the node does not come up" >&2
        exit 1
        ;;
    stop)
        for name in slurmd slurmctld; do
            if [[ -s $directory/$name.pid ]]; then
                pid=$(cat "$directory/$name.pid")
                kill "$pid" 2> /dev/null || true
                for _ in $(seq 100); do
                    if ! kill -0 "$pid" 2> /dev/null; then break; fi
                    sleep 0.05
                done
                kill -KILL "$pid" 2> /dev/null || true
            fi
        done
        ;;
    *)
        echo "usage: slurm.sh start|stop DIRECTORY [CPUS]" >&2
        exit 2
        ;;
esac
