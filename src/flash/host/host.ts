/**
 * The running first OS: what preflight has to know of it.
 *
 * 1. Everything is read from the kernel and from files of the system; nothing is changed, and
 *    nothing is decided here.
 * 2. What cannot be read is absent; the check that needs it refuses.
 * 3. Disks have their own module (disks.ts), the network and the keys the carry.
 */

import { readdir, readFile, realpath } from 'node:fs/promises'
import { hostname, machine } from 'node:os'
import { join } from 'node:path'
import { exists } from '../../system/exists.ts'
import { findContainer } from './container.ts'
import { driversOf } from './modules.ts'
import {
  disksOfMount,
  type FstabLine,
  type Mount,
  mountOf,
  readFstab,
  readMounts,
} from './mounts.ts'

export interface HostFacts {
  readonly isRoot: boolean
  readonly hostname: string
  /** `PRETTY_NAME` of os-release. */
  readonly os: string
  /** As `uname -m` says it: `x86_64`. */
  readonly architecture: string
  readonly firmware: 'bios' | 'uefi'
  /** Of UEFI: 32 or 64; absent where it does not say. */
  readonly firmwareBits?: number
  /** The kind of container this is. */
  readonly container?: string
  readonly mounts: readonly Mount[]
  readonly fstab: readonly FstabLine[]
  /** Kernel names of the disks below `/`; several with RAID or LVM. */
  readonly rootDisks: readonly string[]
  /** Active swap, by path. */
  readonly swaps: readonly string[]
  /** The folder of the GRUB that starts this system, as far as files tell. */
  readonly grubFolder?: string
  /** What the hardware watchdog calls itself. */
  readonly watchdog?: string
  /** By interface: the modules of its driver and of what lies below. */
  readonly networkModules: ReadonlyMap<string, readonly string[]>
}

/** @throws OsflashError `process` when a tool that is there fails */
export async function readHost(): Promise<HostFacts> {
  const mounts = await readMounts()
  const root = mountOf(mounts, '/')
  const container = await findContainer()
  const grubFolder = await findGrub()
  const watchdog = await findWatchdog()
  const bits = await readFile('/sys/firmware/efi/fw_platform_size', 'utf8').catch(() => '')
  const firmwareBits = Number.parseInt(bits, 10)
  return {
    isRoot: process.getuid?.() === 0,
    hostname: hostname(),
    os: await osName(),
    architecture: machine(),
    firmware: (await exists('/sys/firmware/efi')) ? 'uefi' : 'bios',
    ...(firmwareBits > 0 ? { firmwareBits } : {}),
    ...(container === undefined ? {} : { container }),
    mounts,
    fstab: await readFstab(),
    rootDisks: root === undefined ? [] : await disksOfMount(root),
    swaps: await readSwaps(),
    ...(grubFolder === undefined ? {} : { grubFolder }),
    ...(watchdog === undefined ? {} : { watchdog }),
    networkModules: await readNetworkModules(),
  }
}

async function osName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]?.replace(/^["']|["']$/g, '')
  return value('PRETTY_NAME') ?? value('NAME') ?? 'an unknown system'
}

/** Debian and its kin, then Fedora and its kin. */
async function findGrub(): Promise<string | undefined> {
  for (const folder of ['/boot/grub', '/boot/grub2']) {
    if (await exists(join(folder, 'grub.cfg'))) return folder
  }
  return undefined
}

/** The name of the first one, such as `iTCO_wdt`; software ones end with the kernel, so none. */
async function findWatchdog(): Promise<string | undefined> {
  const folder = '/sys/class/watchdog'
  for (const name of (await readdir(folder).catch(() => [])).sort()) {
    const identity = (await readFile(join(folder, name, 'identity'), 'utf8').catch(() => '')).trim()
    if (identity !== '' && !/^software/i.test(identity)) return identity
  }
  return undefined
}

async function readSwaps(): Promise<string[]> {
  const lines = (await readFile('/proc/swaps', 'utf8').catch(() => '')).trim().split('\n')
  return lines.slice(1).flatMap((line) => line.split(/\s/)[0] ?? [])
}

/** Interfaces with hardware behind them. */
async function readNetworkModules(): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>()
  for (const name of await readdir('/sys/class/net').catch(() => [])) {
    const device = join('/sys/class/net', name)
    const real = await realpath(device).catch(() => '')
    if (!real.includes('/virtual/')) found.set(name, await driversOf(device))
  }
  return found
}
