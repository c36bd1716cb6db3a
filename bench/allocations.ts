/**
 * What the engine allocates per frame once it runs: the difference between few passes over an
 * image and many.
 *
 * 1. `--trace-gc-nvp` says how many bytes a thread's heap took since its last collection; thread
 *    0 is the main one. Small young generations make collections frequent.
 * 2. Buffers outside of that heap (outputs of the cipher) show as page faults when their memory
 *    is new to the process, and only then.
 *
 * Not promised: single bytes; what lies between the last collection and the end is not seen.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Shell, shell } from './measure.ts'

/** What one process allocated in all. */
export interface Allocated {
  /** Bytes of the main thread's heap. */
  readonly main: number
  /** Bytes of all workers' heaps. */
  readonly workers: number
  readonly collections: number
  readonly pageFaults: number
}

const LINE = /^\[\d+:0x[0-9a-f]+:(\d+)\] .*\ballocated=(\d+) /

/** Sums the trace of the collector. @param pageFaults as `time` says */
export function readTrace(trace: string, pageFaults: number): Allocated {
  const sums = { main: 0, workers: 0, collections: 0 }
  for (const line of trace.split('\n')) {
    const [, thread, bytes] = LINE.exec(line) ?? []
    if (thread === undefined) continue
    sums[thread === '0' ? 'main' : 'workers'] += Number(bytes)
    sums.collections += 1
  }
  return { ...sums, pageFaults }
}

/** What each frame of the additional passes cost. */
export function perFrame(few: Allocated, many: Allocated, frames: number): Allocated {
  return {
    main: (many.main - few.main) / frames,
    workers: (many.workers - few.workers) / frames,
    collections: (many.collections - few.collections) / frames,
    pageFaults: (many.pageFaults - few.pageFaults) / frames,
  }
}

const FEW_PASSES = 3
const MANY_PASSES = 23

/** Measures `disk.osimg` in the folder, which has so many frames. */
export async function measureAllocations(where: Shell, frames: number): Promise<Allocated> {
  const few = await passes(where, FEW_PASSES)
  const many = await passes(where, MANY_PASSES)
  return perFrame(few, many, frames * (MANY_PASSES - FEW_PASSES))
}

async function passes(where: Shell, times: number): Promise<Allocated> {
  const node = 'node --trace-gc-nvp --max-semi-space-size=1 $BENCH/decode-alone.ts'
  const trace = await shell(
    where,
    `env time -q -f %R -o faults.txt ${node} disk.osimg keys/recipient.key $WORKERS ${times}`,
  )
  return readTrace(trace, Number(await readFile(join(where.folder, 'faults.txt'), 'utf8')))
}
