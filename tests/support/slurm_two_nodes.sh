#!/usr/bin/env bash
# A real Slurm on this machine, without systemd: two virtual nodes, n1 and n2, of two CPUs and two pretended GPUs each.
#   slurm_two_nodes.sh start DIR   needs root and Debian's slurmctld, slurmd, slurm-client, munge; then SLURM_CONF=DIR/slurm.conf
#   slurm_two_nodes.sh stop DIR    ends the jobs and what `start` started, by their ids
# Everything lies in DIR, which another user (munge's keys) must be able to reach. SLURM_PORT: the first of three free ports.
set -euo pipefail
folder=$2 port=${SLURM_PORT:-16817} host=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf

start() {
  mkdir -p "$folder"/{state,dev,munge}
  chmod 711 "$folder" && chmod 700 "$folder/munge"
  for gpu in 0 1; do mknod -m 666 "$folder/dev/gpu$gpu" c 1 3; done  # /dev/null by another name
  cat > "$SLURM_CONF" <<CONF
ClusterName=two
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
KillWait=5
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=2 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
CONF
  echo "Name=gpu File=$folder/dev/gpu[0-1]" > "$folder/gres.conf"

  head -c 1024 /dev/urandom > "$folder/munge/key" && chmod 600 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge/seed"
  slurmctld -c
  for node in n1 n2; do slurmd -N "$node"; done
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --format=%t 2> /dev/null)" = idle ] && return
    sleep 0.2
  done
  tail -n 5 "$folder"/*.log >&2
  return 1
}

stop() {
  for job in $(squeue --noheader --format=%i 2> /dev/null); do
    scancel --signal=KILL "$job.0" 2> /dev/null || true
    scancel "$job" || true
  done
  for _ in $(seq 100); do
    [ -z "$(squeue --noheader 2> /dev/null)" ] && break
    sleep 0.1
  done
  pids=$(cat "$folder"/{slurmd-n1,slurmd-n2,slurmctld,munged}.pid 2> /dev/null) || true
  # shellcheck disable=SC2086
  kill $pids 2> /dev/null || true
  for pid in $pids; do
    for _ in $(seq 100); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.1
    done
  done
}

"$1"
