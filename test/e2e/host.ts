/**
 * The host of a scenario: two or more disks, one address, one host key, whatever runs on it.
 *
 * 1. Its folder is build/e2e/run/NAME: disks, firmware variables, serial log; it stays after a
 *    failure, to be looked at, and is made anew by the next run.
 * 2. Only SSH at the first OS's address with the first OS's host key counts as an answer.
 * 3. Each answer says which of the three systems it came from, and from which boot.
 */
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GIB } from '../../src/units.ts'
import { type CommandOutcome, Machine } from '../boot/machine.ts'
import type { MachineDisk } from '../boot/qemu-arguments.ts'
import { buildFolder } from './cache.ts'
import { blankDisk, copyDisk, type FirstVariant, firstDisk } from './first-os.ts'
import { type Keys, testKeys } from './keys.ts'
import { type Loss, replay } from './power-loss.ts'

export const ADDRESS = '10.0.2.77'
export const SERIAL = { disk: 'E2E-DISK-1', stage: 'E2E-STAGE-2', other: 'E2E-OTHER-3' } as const
const STAGE_BYTES = 4 * GIB
const MEMORY_MIB = 1280

export type System = 'first-os' | 'rescue' | 'target'

export interface Sighting {
  readonly system: System
  readonly bootId: string
}

/** When a boot answered first, and its last answer or the next start; seconds of the scenario. */
export interface Seen extends Sighting {
  readonly first: number
  last: number
}

export interface HostOptions {
  readonly name: string
  readonly firmware: 'bios' | 'uefi'
  /** Of the first OS. */
  readonly variant?: FirstVariant
  /** Copies of these instead of a fresh first OS and a blank stage. */
  readonly from?: string
  readonly watchdog?: boolean
  /** Record every write, so that a power cut can lose those that were not flushed. */
  readonly recordWrites?: boolean
}

/** Prints which system it is and its boot. */
const WHO = `if [ -e /etc/osflash/stage.json ]; then system=rescue
elif grep -q '^VERSION_ID="12"' /etc/os-release; then system=first-os
else system=target; fi
echo "$system $(cat /proc/sys/kernel/random/boot_id)"`

export class Host implements AsyncDisposable {
  readonly options: HostOptions
  readonly folder: string
  readonly keys: Keys
  /** Every boot that answered, in order. */
  readonly seen: Seen[] = []
  /** In the order that the guest finds them. */
  disks: readonly MachineDisk[]
  #machine: Machine | null = null
  readonly #startMs = performance.now()

  private constructor(options: HostOptions, folder: string, keys: Keys) {
    this.options = options
    this.folder = folder
    this.keys = keys
    // No places under UEFI: OVMF would sort BootOrder by them at every boot.
    const place = (index: number) => (options.firmware === 'bios' ? index : null)
    this.disks = [
      { path: this.diskPath, serial: SERIAL.disk, bootIndex: place(1) },
      { path: this.stagePath, serial: SERIAL.stage, bootIndex: place(2) },
    ]
  }

  /** A new machine, switched off. */
  static async make(options: HostOptions): Promise<Host> {
    const folder = join(buildFolder, 'run', options.name)
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const host = new Host(options, folder, await testKeys())
    const { from } = options
    if (from === undefined) {
      await copyDisk(await firstDisk(options.variant), host.diskPath)
      await blankDisk(host.stagePath, STAGE_BYTES)
    } else {
      for (const name of MACHINE_FILES) {
        await copyDisk(join(from, name), join(folder, name)).catch((cause: unknown) => {
          if (name !== FIRMWARE_VARIABLES) throw cause
        })
      }
    }
    return host
  }

  get diskPath(): string {
    return join(this.folder, DISK)
  }

  get stagePath(): string {
    return join(this.folder, STAGE)
  }

  get machine(): Machine {
    if (this.#machine === null) throw new Error('the machine is off')
    return this.#machine
  }

  /** Seconds since the scenario began. */
  get seconds(): number {
    return this.#secondsAt(performance.now())
  }

  #secondsAt(ms: number): number {
    return (ms - this.#startMs) / 1000
  }

  async powerOn(): Promise<void> {
    this.#machine = await Machine.start({
      firmware: this.options.firmware,
      disks: await this.#attachedDisks(),
      folder: this.folder,
      sshKey: this.keys.login,
      keepDisks: true,
      memoryMib: MEMORY_MIB,
      guestAddress: ADDRESS,
      hostKey: this.keys.hostPublic,
      watchdog: this.options.watchdog ?? false,
    })
  }

  /** Presses the power button. */
  async powerOff(): Promise<void> {
    await this.machine.powerOff(POWER_OFF_SECONDS)
    this.#machine = null
  }

  async cutPower(): Promise<void> {
    await this.#machine?.cutPower()
    this.#machine = null
  }

  /** Cuts the power; of what was not flushed, the disks lose what `random` says. */
  async losePower(random: () => number): Promise<readonly Loss[]> {
    await this.cutPower()
    const losses: Loss[] = []
    for (const { path } of this.disks) {
      await rename(atPowerOn(path), path)
      losses.push(await replay({ disk: path, log: writeLog(path), random }))
    }
    return losses
  }

  async #attachedDisks(): Promise<readonly MachineDisk[]> {
    if (this.options.recordWrites !== true) return this.disks
    for (const { path } of this.disks) {
      await copyDisk(path, atPowerOn(path))
      await rm(writeLog(path), { force: true })
      await blankDisk(writeLog(path), 0)
    }
    return this.disks.map((disk) => ({ ...disk, writeLogPath: writeLog(disk.path) }))
  }

  /** Which system answers now; null when none does. */
  async look(): Promise<Sighting | null> {
    const answer = await this.machine.tryCommand(WHO)
    const [system, bootId] = answer?.stdout.trim().split(' ') ?? []
    if (bootId === undefined) return null
    if (system !== 'first-os' && system !== 'rescue' && system !== 'target') return null
    const latest = this.seen.at(-1)
    if (latest?.bootId === bootId) latest.last = this.seconds
    else {
      if (latest) latest.last = Math.max(latest.last, this.#secondsAt(this.machine.startedMs))
      this.seen.push({ system, bootId, first: this.seconds, last: this.seconds })
    }
    return { system, bootId }
  }

  /**
   * Waits until one of `systems` answers, in a boot that is not `notBoot`.
   * Any other system that answers meanwhile is noted in `seen`.
   */
  async waitFor(
    systems: System | readonly System[],
    { seconds, notBoot = '' }: { readonly seconds: number; readonly notBoot?: string },
  ): Promise<Sighting> {
    const wanted = [systems].flat()
    const deadline = this.seconds + seconds
    while (this.seconds < deadline && this.machine.isOn) {
      const { starts } = this.machine
      const sighting = await this.look()
      if (sighting && wanted.includes(sighting.system) && sighting.bootId !== notBoot) {
        return sighting
      }
      if (sighting === null) await sleep(POLL_MS)
      else await this.#waitForStart(starts, deadline)
    }
    throw await this.#late(`no answer from ${wanted.join(' or ')} within ${seconds} s`)
  }

  /** Waits until the machine starts anew, or does not answer now. */
  async waitForSilence(seconds: number): Promise<void> {
    const deadline = this.seconds + seconds
    const { starts } = this.machine
    if ((await this.look()) === null || (await this.#waitForStart(starts, deadline))) return
    throw await this.#late(`still the same boot after ${seconds} s`)
  }

  /**
   * Waits until another system may run than in `starts`; false when none does in time.
   * Nobody asks the guest meanwhile: an answer by SSH takes a second of its only processor.
   */
  async #waitForStart(starts: number, deadline: number): Promise<boolean> {
    while (this.machine.isOn && this.machine.starts === starts) {
      if (this.seconds >= deadline) return false
      await sleep(SERIAL_POLL_MS)
    }
    return true
  }

  /**
   * Waits until the serial log tells of a state behind place `from`, the machine starts anew, or
   * `seconds` are over: a moment to ask the guest.
   */
  async waitForNews(seconds: number, from: number): Promise<void> {
    const deadline = this.seconds + seconds
    const { starts } = this.machine
    while (this.seconds < deadline && this.machine.isOn && this.machine.starts === starts) {
      if (NEWS.test((await this.serialLog()).slice(from))) return
      await sleep(SERIAL_POLL_MS)
    }
  }

  /** Waits until the serial log holds `text` behind place `from`; returns the place behind it. */
  async waitForSerial(text: string, seconds: number, from = 0): Promise<number> {
    const deadline = this.seconds + seconds
    while (this.seconds < deadline && this.machine.isOn) {
      const at = (await this.serialLog()).indexOf(text, from)
      if (at !== -1) return at + text.length
      await sleep(SERIAL_POLL_MS)
    }
    throw await this.#late(`"${text}" did not appear on the serial log within ${seconds} s`)
  }

  /** What was written to the serial port in all starts. */
  serialLog(): Promise<string> {
    const path = join(this.folder, `${this.options.firmware}-serial.log`)
    return readFile(path, 'latin1').catch(() => '')
  }

  ssh(command: string, stdin?: Uint8Array): Promise<string> {
    return this.machine.ssh(command, stdin)
  }

  /** A command whose failure is an answer; throws only when SSH fails. */
  async outcome(command: string): Promise<CommandOutcome> {
    const outcome = await this.machine.tryCommand(command)
    if (outcome === null) throw await this.#late(`SSH failed at: ${command}`)
    return outcome
  }

  async #late(what: string): Promise<Error> {
    const boots = this.seen.map(({ system, first, last }) => {
      return `${system} ${first.toFixed(0)}-${last.toFixed(0)} s`
    })
    const end = (await this.serialLog()).slice(-SERIAL_TAIL)
    return new Error(`${what}; seen: ${boots.join(', ')}; the serial log ends with:\n${end}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower()
  }
}

const DISK = 'disk1.img'
const STAGE = 'disk2.img'
const FIRMWARE_VARIABLES = 'ovmf-vars.fd'
/** What makes a machine; copied for the next one. */
export const MACHINE_FILES = [DISK, STAGE, FIRMWARE_VARIABLES] as const
const atPowerOn = (disk: string): string => `${disk}.at-power-on`
const writeLog = (disk: string): string => `${disk}.writes`
const POLL_MS = 2000
const SERIAL_POLL_MS = 300
const NEWS = /osflash.*\b(held|confirmed|aborted)\b/
const SERIAL_TAIL = 3000
const POWER_OFF_SECONDS = 120
