/**
 * Where the time of a run goes: seconds by stage, summed over all threads.
 *
 * 1. A row of shared memory for each thread; it takes the next free row when it starts and is
 *    the only one that writes to it.
 * 2. The main thread adds its own two stages, reading and the sink, and sums the rows when asked.
 * 3. Two readings of the clock for each stage of a frame: far below one per mille.
 *
 * Not promised: numbers that fit together while frames are under way.
 */

/** The stages of a thread, in the order of a row. */
export const THREAD_STAGES = ['digest', 'open', 'decompress', 'compare', 'entries'] as const
export type ThreadStage = (typeof THREAD_STAGES)[number]

/** Seconds by stage. Threads work side by side, so a sum may exceed the time that went by. */
export interface StageTimes {
  readonly threads: number
  /** Digests of blocks, over packed bytes. */
  readonly digest: number
  /** Decryption. */
  readonly open: number
  readonly decompress: number
  /** Digests of raw bytes, where asked for. */
  readonly compare: number
  /** Files of a tree: made, written, given their metadata. */
  readonly entries: number
  /** Reads of the image; some go on at the same time. */
  readonly read: number
  /** From the frame's arrival at the sink until the sink gave it back. */
  readonly sink: number
}

const COLUMNS: Readonly<Record<ThreadStage, number>> = {
  digest: 0,
  open: 1,
  decompress: 2,
  compare: 3,
  entries: 4,
}

const MS = 1_000
/** First the count of rows that were taken, then the rows. */
const HEADER_BYTES = 8

/** Shared memory for the rows of `threads` threads. */
export function makeStageTable(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + threads * THREAD_STAGES.length * 8)
}

/** Adds what went by since `startMs` to a stage, and gives the time now, both in milliseconds. */
export type StageClock = (stage: ThreadStage, startMs: number) => number

/** A clock on a row of its own; call it once in each thread. @throws RangeError no row is free */
export function takeStageRow(table: SharedArrayBuffer): StageClock {
  const row = Atomics.add(new Int32Array(table, 0, 1), 0, 1)
  const start = HEADER_BYTES + row * THREAD_STAGES.length * 8
  const sums = new Float64Array(table, start, THREAD_STAGES.length)
  return (stage, startMs) => {
    const nowMs = performance.now()
    const column = COLUMNS[stage]
    sums[column] = (sums[column] ?? 0) + nowMs - startMs
    return nowMs
  }
}

/** Seconds of a stage, over all threads. */
export function stageSeconds(table: SharedArrayBuffer, stage: ThreadStage): number {
  const sums = new Float64Array(table, HEADER_BYTES)
  let total = 0
  for (let at = THREAD_STAGES.indexOf(stage); at < sums.length; at += THREAD_STAGES.length) {
    total += sums[at] ?? 0
  }
  return total / MS
}
