/**
 * The floor: ratios of one run below which the fast path has lost about a third.
 *
 * 1. A rule compares what osflash took with what others took for the same data on the same
 *    processors, so it holds on fast machines and on slow ones.
 * 2. Of each entry the least of all rounds counts: other programs on the machine only ever add.
 * 3. Two kinds of time: processor seconds do not mind neighbours, but do not see threads that
 *    wait for each other; seconds see both.
 *
 * The first two see a slower thread; their `wanted` is about three quarters of what was seen on a
 * busy machine. The last two are for lost overlap and for the disk: they scatter with the disk and
 * hold the start of the program too, so their `wanted` leaves more room (docs/performance.md has
 * the ratios). Where osflash has become faster, raise it.
 */
import type { Measurement } from './measure.ts'

export interface FloorRule {
  readonly what: string
  readonly time: 'seconds' | 'cpuSeconds'
  /** Name of the entry of osflash. */
  readonly ours: string
  /** The slowest of these is what osflash is compared with. */
  readonly theirs: readonly string[]
  readonly wanted: number
}

export const FLOOR: readonly FloorRule[] = [
  {
    what: 'processor time of zstd -t / of the engine alone',
    time: 'cpuSeconds',
    ours: 'decode',
    theirs: ['zstd-t'],
    wanted: 0.62,
  },
  {
    what: 'time of zstd -t / of the engine alone',
    time: 'seconds',
    ours: 'decode',
    theirs: ['zstd-t'],
    wanted: 0.6,
  },
  {
    what: 'time of gpg, zstd, dd / of osflash unpack',
    time: 'seconds',
    ours: 'osflash-file',
    theirs: ['gpg-direct'],
    wanted: 1.2,
  },
  {
    what: 'time of the ceilings, the slower one / of osflash unpack',
    time: 'seconds',
    ours: 'osflash-file',
    theirs: ['write', 'decode'],
    wanted: 0.38,
  },
]

export interface FloorRatio extends FloorRule {
  readonly got: number
}

/** Measurements of each entry, by its name. */
export type Measured = ReadonlyMap<string, readonly Measurement[]>

/** @throws RangeError when an entry of a rule was not measured */
export function floorRatios(measured: Measured, rules = FLOOR): readonly FloorRatio[] {
  return rules.map((rule) => {
    const least = (name: string): number => {
      const runs = measured.get(name)
      if (runs === undefined || runs.length === 0) throw new RangeError(`${name} was not measured`)
      return Math.min(...runs.map((run) => run[rule.time]))
    }
    return { ...rule, got: Math.max(...rule.theirs.map(least)) / least(rule.ours) }
  })
}

/** Rule by rule the higher ratio of two looks; the earlier one may be empty. */
export function betterOf(
  earlier: readonly FloorRatio[],
  later: readonly FloorRatio[],
): readonly FloorRatio[] {
  return later.map((ratio, i) => {
    const before = earlier[i]
    return before !== undefined && before.got > ratio.got ? before : ratio
  })
}

export const isBelow = ({ got, wanted }: FloorRatio): boolean => got < wanted

/** One line; the ratio is cut, never rounded up. */
export function ratioText({ what, got, wanted }: FloorRatio): string {
  const verdict = got < wanted ? 'BELOW' : 'ok'
  return `${verdict}: ${what}: ${(Math.floor(got * 100) / 100).toFixed(2)}, wanted ${wanted}`
}
