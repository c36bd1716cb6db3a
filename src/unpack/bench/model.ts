/**
 * From measured rates to a verdict: what limits, and what would help. Pure arithmetic.
 *
 * The model is a pipeline of three resources that work side by side:
 *
 * 1. read: the packed bytes, as bytes of data (packed rate × ratio of the image)
 * 2. threads: digest, open and decompress one after another in each thread, so their costs add up
 * 3. write: frames on their way to the target; absent when nothing is written
 *
 * The slowest resource gives the expected rate. It is the limit; of the threads that is the stage
 * with the largest share of their time. A change (twice the threads, a target twice as fast)
 * changes one resource; the measured rate grows as the expected one does.
 *
 * Not promised: that the resources do not meet. Reading and writing take processor time too, so
 * `reached` below 1 is usual where threads and processors are equal in number, and twice the
 * threads means twice the processors.
 */

export type StageName = 'read' | 'digest' | 'open' | 'decompress' | 'write'
type ThreadStage = 'digest' | 'open' | 'decompress'

/** Rates are bytes of data (unpacked) a second, above 0. */
export interface Measured {
  readonly read: number
  /** All threads together, everything in memory, nothing written. */
  readonly threads: number
  /** Seconds summed over the threads; only their proportions count. */
  readonly threadSeconds: Readonly<Record<ThreadStage, number>>
  readonly write?: number
  /** All stages at once. */
  readonly together: number
  /** Bytes of data for a packed byte. */
  readonly ratio: number
}

/** A resource that may be made faster. */
type Resource = 'read' | 'threads' | 'write'

/** What one resource at twice its rate would give. */
export interface Change {
  readonly twice: Resource
  readonly bytesPerSecond: number
  /** 0: nothing; 1: twice the rate. */
  readonly gain: number
  /** What limits then. */
  readonly limit: StageName
}

/** The image through a network link. */
export interface LinkRate {
  readonly bitsPerSecond: number
  readonly bytesPerSecond: number
  /** Whether the link would be the limit. */
  readonly limits: boolean
}

export interface Verdict {
  readonly limit: StageName
  /** Rate of the slowest resource alone. */
  readonly expectedBytesPerSecond: number
  /** Measured rate of all stages at once as a part of the expected one. */
  readonly reached: number
  readonly changes: readonly Change[]
  /** A slower link would be the limit. */
  readonly linkBitsPerSecond: number
  readonly links: readonly LinkRate[]
}

const LINKS_BITS_PER_SECOND = [100e6, 1e9, 10e9]

/** The verdict on one measurement. */
export function judge(measured: Measured): Verdict {
  const { bytesPerSecond: expected, limit } = slowest(measured)
  const rates: readonly Resource[] = ['threads', 'read', 'write']
  const changes = rates.flatMap((twice): Change[] => {
    const rate = measured[twice]
    if (rate === undefined) return []
    const then = slowest({ ...measured, [twice]: 2 * rate })
    const gain = then.bytesPerSecond / expected
    const bytesPerSecond = measured.together * gain
    return [{ twice, bytesPerSecond, gain: gain - 1, limit: then.limit }]
  })
  return {
    limit,
    expectedBytesPerSecond: expected,
    reached: measured.together / expected,
    changes,
    linkBitsPerSecond: (measured.together / measured.ratio) * 8,
    links: LINKS_BITS_PER_SECOND.map((bitsPerSecond) => throughLink(measured, bitsPerSecond)),
  }
}

interface Slowest {
  readonly bytesPerSecond: number
  readonly limit: StageName
}

function slowest(measured: Measured): Slowest {
  const { read, threads, write, threadSeconds } = measured
  const found: Slowest[] = [
    { bytesPerSecond: threads, limit: costliest(threadSeconds) },
    { bytesPerSecond: read, limit: 'read' },
  ]
  if (write !== undefined) found.push({ bytesPerSecond: write, limit: 'write' })
  return found.reduce((least, one) => (one.bytesPerSecond < least.bytesPerSecond ? one : least))
}

/** The stage that takes most of the threads' time. */
export function costliest(seconds: Readonly<Record<ThreadStage, number>>): ThreadStage {
  const stages: readonly ThreadStage[] = ['decompress', 'open', 'digest']
  return stages.reduce((most, stage) => (seconds[stage] > seconds[most] ? stage : most))
}

function throughLink({ together, ratio }: Measured, bitsPerSecond: number): LinkRate {
  const link = (bitsPerSecond / 8) * ratio
  return { bitsPerSecond, bytesPerSecond: Math.min(link, together), limits: link < together }
}
