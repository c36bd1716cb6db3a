/**
 * What a rescue does when nobody is there: asked of a machine that runs one.
 *
 * 1. Each question ends with the machine as it was, or rebooted.
 * 2. A reboot is told by the identifier that the kernel draws at each boot.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from './machine.ts'

const STAGE = '/etc/osflash/stage.json'
const STARTED = '/run/osflash/resume-started'

/** The version of the installed program, and whether it is the bundle's Node that runs it. */
export async function askProgram(machine: Machine): Promise<readonly string[]> {
  const other = 'command -v node nodejs || echo no Node of Debian'
  return (await machine.ssh(`osflash --version; ${other}`)).trim().split('\n')
}

/** What units are about to do, as systemd answers; one line each. */
export async function askUnits(machine: Machine): Promise<readonly string[]> {
  const property = (unit: string, name: string) => `systemctl show -P ${name} ${unit}`
  const shells = (unit: string) => `systemctl cat ${unit} | grep -c ^ExecStart=/bin/sh`
  const questions = [
    property('osflash-resume.service', 'ConditionResult'),
    property('osflash-resume.service', 'UnitFileState'),
    property('osflash-dead-man.timer', 'ActiveState'),
    property('osflash-dead-man.timer', 'UnitFileState'),
    shells('emergency.service'),
    shells('rescue.service'),
  ]
  return (await machine.ssh(`${questions.join('; ')}; true`)).trim().split('\n')
}

/** Makes a volume and an array of the second disk; gives what runs now. */
export async function makeAssembled(machine: Machine): Promise<string> {
  await machine.ssh(`set -e
    sgdisk --new=1:0:+64M --new=2:0:+64M /dev/vdb
    udevadm settle
    vgcreate -qq spare /dev/vdb1
    lvcreate -qq --yes --extents 100%FREE --name volume spare
    mdadm --quiet --create /dev/md9 --run --level=1 --raid-devices=2 /dev/vdb2 missing`)
  return await askAssembled(machine)
}

/** Volumes and arrays that run: each takes its disk from whoever wants to write there. */
export async function askAssembled(machine: Machine): Promise<string> {
  const arrays = 'grep -c ^md /proc/mdstat'
  return (await machine.ssh(`echo "$(${arrays}) arrays; $(dmsetup ls 2>&1)"`)).trim()
}

/** Runs a command that must lead to a reboot by itself; resolves when SSH answers again. */
export async function rebootsAfter(
  machine: Machine,
  command: string,
  timeoutSeconds: number,
): Promise<void> {
  const before = await bootId(machine)
  await machine.tryCommand(command)
  const deadline = performance.now() + timeoutSeconds * 1000
  while (performance.now() < deadline) {
    const now = await bootId(machine).catch(() => before)
    if (now !== before) return
    await sleep(2000)
  }
  throw new Error(`${command}: no reboot within ${timeoutSeconds} s`)
}

const bootId = (machine: Machine): Promise<string> =>
  machine.ssh('cat /proc/sys/kernel/random/boot_id')

/** A stage without a store; with it, what looks after replacements feels concerned. */
export const pretendStage = (machine: Machine): Promise<string> =>
  machine.ssh(`mkdir -p /etc/osflash && echo '{}' > ${STAGE} && sync`)

/** Starts what the timer starts; what it left, if it did not reboot. */
export async function startDeadMan(machine: Machine): Promise<string> {
  await machine.ssh('systemctl start osflash-dead-man.service')
  return (await machine.ssh('systemctl show -P ConditionResult osflash-dead-man.service')).trim()
}

/** Waits until `osflash resume` said that it started; then how it ended. */
export async function resumeResult(machine: Machine): Promise<string> {
  const wait = `for i in $(seq 60); do [ -e ${STARTED} ] && break; sleep 1; done; [ -e ${STARTED} ]`
  const idle = 'while systemctl -q is-active osflash-resume; do sleep 1; done'
  const result = 'systemctl show -P Result osflash-resume.service'
  return (await machine.ssh(`${wait} && { ${idle}; ${result}; }`)).trim()
}
