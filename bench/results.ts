/**
 * The results of a bench: all measurements as a value, and what follows from them.
 *
 * 1. Rates are MB (10^6 bytes) of data a second: mapped bytes of the disk image, bytes in files
 *    of the tree. The same for all entries of a group, whatever else they read or write.
 * 2. Ratios compare medians of one run on as many processors, each with its target.
 */
import { MIB } from '../src/units.ts'
import type { Entry, Group } from './entry.ts'
import type { Input } from './input.ts'
import type { Machine } from './machine.ts'
import type { Measurement } from './measure.ts'
import type { Skipped } from './plan.ts'
import { type Spread, spreadOf } from './statistics.ts'

export interface EntryResult {
  readonly name: string
  readonly group: Group
  readonly kind: Entry['kind']
  readonly title: string
  readonly command: string
  /** Processors it ran on. */
  readonly cores: number
  /** Threads it was asked to use. */
  readonly workers: number
  readonly measurements: readonly Measurement[]
  /** MB a second. */
  readonly rate: Spread
  /** Median of processor seconds by seconds. */
  readonly coresBusy: number
  /** The largest of all runs. */
  readonly peakBytes: number
  /** Whether the output was compared with the source; false where nothing is written. */
  readonly checked: boolean
  readonly outputBytes?: number
}

export interface BenchResults {
  readonly format: 'osflash-bench/2'
  /** Day of the run, YYYY-MM-DD. */
  readonly date: string
  readonly machine: Machine
  /** Ascending; each a pass of its own. */
  readonly cores: readonly number[]
  readonly rounds: number
  readonly level: number
  /** Average load of the machine before the first round: what else was running. */
  readonly loadBefore: number
  readonly input: Input
  readonly versions: Readonly<Record<string, string>>
  readonly entries: readonly EntryResult[]
  readonly skipped: readonly Skipped[]
}

export interface EntryRuns {
  readonly entry: Entry
  readonly cores: number
  readonly measurements: readonly Measurement[]
  readonly outputBytes?: number
}

export function resultOf(runs: EntryRuns, input: Input): EntryResult {
  const { entry, cores, measurements, ...rest } = runs
  const { name, group, kind, title } = entry
  const bytes = entry.dataBytes ?? dataBytesOf(group, input)
  return {
    name,
    group,
    kind,
    title,
    command: entry.run,
    cores,
    workers: entry.workers ?? cores,
    measurements,
    rate: spreadOf(measurements.map(({ seconds }) => bytes / seconds / 1e6)),
    coresBusy: spreadOf(measurements.map((m) => m.cpuSeconds / m.seconds)).median,
    peakBytes: Math.max(...measurements.map(({ peakBytes }) => peakBytes)),
    checked: entry.check !== undefined,
    ...rest,
  }
}

function dataBytesOf(group: Group, input: Input): number {
  switch (group) {
    case 'tree':
      return input.fileBytes
    case 'files':
      return input.smallFileBytes
    case 'codec':
      return input.codecFileBytes
    default:
      return input.mappedBytes
  }
}

export interface Ratio {
  readonly what: string
  readonly value: number
  /** The ratio that is wanted. */
  readonly target: number
  readonly reached: boolean
}

/**
 * The ratios that the targets are about; those whose entries did not run are left out.
 * @param entries of one number of cores
 */
export function ratiosOf(entries: readonly EntryResult[]): readonly Ratio[] {
  const rate = (name: string): number | undefined =>
    entries.find((entry) => entry.name === name)?.rate.median
  const bytes = (name: string): number | undefined =>
    entries.find((entry) => entry.name === name)?.outputBytes
  const [write, decode] = [rate('write'), rate('decode')]
  const both = write !== undefined && decode !== undefined
  const lower = both ? Math.min(write, decode) : undefined
  const limit = both && write < decode ? 'write' : 'decode'
  const stock = [rate('qemu-img'), rate('bmaptool')].filter((n) => n !== undefined)
  const best = stock.length === 0 ? undefined : Math.max(...stock)
  const unpack = rate('osflash-file')
  return [
    atLeast(`unpack / lower ceiling (${limit})`, unpack, { by: lower, target: 0.9 }),
    atLeast('unpack / gpg, zstd, dd direct', unpack, { by: rate('gpg-direct'), target: 8 }),
    atLeast('unpack / best of qemu-img, bmaptool', unpack, { by: best, target: 5 }),
    atLeast('decode / zstd -t', decode, { by: rate('zstd-t'), target: 0.9 }),
    atLeast('tree / unsquashfs', rate('osflash-tree'), { by: rate('unsquashfs'), target: 1 }),
    atLeast('small files / unsquashfs', rate('osflash-files'), {
      by: rate('unsquashfs-files'),
      target: 1,
    }),
    atLeast('pack / zstd', rate('osflash-pack'), { by: rate('zstd-pack'), target: 0.9 }),
    ...doublings(entries),
    atMost('packed size / zstd', bytes('osflash-pack'), { by: bytes('zstd-pack'), target: 1.02 }),
    peakOfUnpacks(entries),
  ].flat()
}

/** The slots of each worker are memory, so the bound is one for so many workers. */
const BOUND = { workers: 4, mib: 256 }

/** The largest peak of all unpacks with four workers, in MiB, rounded up. */
function peakOfUnpacks(entries: readonly EntryResult[]): readonly Ratio[] {
  const peaks = entries
    .filter(({ command, workers }) => {
      return workers === BOUND.workers && command.includes('$OSFLASH unpack')
    })
    .map(({ peakBytes }) => Math.ceil(peakBytes / MIB))
  const peak = peaks.length === 0 ? undefined : Math.max(...peaks)
  const what = `peak memory of unpack with ${BOUND.workers} workers, MiB, at most`
  return atMost(what, peak, { by: 1, target: BOUND.mib })
}

/** What each doubling of the workers brings, and what it brings to `zstd -t`. */
function doublings(entries: readonly EntryResult[]): readonly (readonly Ratio[])[] {
  const rate = (name: string): number | undefined =>
    entries.find((entry) => entry.name === name)?.rate.median
  return [2, 4, 8, 16, 32].map((n) => {
    const [before, after] = [rate(`decode-${n / 2}`), rate(`decode-${n}`)]
    const [peerBefore, peerAfter] = [rate(`zstd-t-${n / 2}`), rate(`zstd-t-${n}`)]
    if (before === undefined || peerBefore === undefined || peerAfter === undefined) return []
    const what = `decode, ${n / 2} to ${n} workers, half of the gain`
    const peer = (peerAfter / peerBefore / 2).toFixed(2)
    return atLeast(`${what} (zstd -t: ${peer})`, after, { by: 2 * before, target: 0.9 })
  })
}

interface Against {
  readonly by: number | undefined
  readonly target: number
}

function atLeast(what: string, value: number | undefined, against: Against): readonly Ratio[] {
  return compared(what, value, against).map((ratio) => ({
    ...ratio,
    reached: ratio.value >= ratio.target,
  }))
}

function atMost(what: string, value: number | undefined, against: Against): readonly Ratio[] {
  return compared(what, value, against).map((ratio) => ({
    ...ratio,
    reached: ratio.value <= ratio.target,
  }))
}

function compared(what: string, value: number | undefined, { by, target }: Against) {
  return value === undefined || by === undefined ? [] : [{ what, value: value / by, target }]
}
