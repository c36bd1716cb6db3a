/**
 * Frames of an image whose packed bytes are held in memory, so that nothing is waited for when
 * the threads are measured.
 *
 * 1. A small image is taken whole. Of a large one windows are taken, spread evenly: data at the
 *    start of a disk (boot files, compressed) is unlike that in the middle.
 * 2. A window is a run of frames whose blocks follow one another; it is read in one piece.
 * 3. The sample is a source: what it holds comes from memory, everything else from the image.
 */
import type { Source } from '../../deliver/source.ts'
import { throwIfCancelled } from '../../errors.ts'
import { MIB } from '../../units.ts'
import type { FrameJob } from '../frame-job.ts'

/** More than processor caches hold, less than a small host can spare. */
const SAMPLE_BYTES = 48 * MIB
const WINDOWS = 8

export interface Sample {
  readonly jobs: readonly FrameJob[]
  readonly source: Pick<Source, 'read'>
}

/** Runs of frames of at most `sampleBytes` sealed bytes in all, but at least one frame each. */
export function chooseWindows(
  jobs: readonly FrameJob[],
  sampleBytes: number = SAMPLE_BYTES,
): readonly (readonly FrameJob[])[] {
  if (sealedBytes(jobs) <= sampleBytes) return byPayload(jobs)
  const step = Math.max(1, Math.floor(jobs.length / WINDOWS))
  const windows: FrameJob[][] = []
  for (let start = 0; start < jobs.length && windows.length < WINDOWS; start += step) {
    const window: FrameJob[] = []
    let bytes = 0
    for (const job of jobs.slice(start, start + step)) {
      bytes += job.sealedBytes
      if (window.length > 0 && bytes > sampleBytes / WINDOWS) break
      window.push(job)
    }
    windows.push(...byPayload(window))
  }
  return windows
}

/** Reads the windows. @throws OsflashError `io`, `cancelled` */
export async function loadSample(
  source: Source,
  jobs: readonly FrameJob[],
  signal?: AbortSignal,
): Promise<Sample> {
  const held: { readonly offset: number; readonly bytes: Uint8Array }[] = []
  const chosen = chooseWindows(jobs)
  for (const window of chosen) {
    throwIfCancelled(signal)
    const offset = Math.min(...window.map(({ imageOffset }) => imageOffset))
    const end = Math.max(...window.map((job) => job.imageOffset + job.sealedBytes))
    const bytes = new Uint8Array(end - offset)
    await source.read(offset, bytes)
    held.push({ offset, bytes })
  }
  const read = async (offset: number, into: Uint8Array): Promise<void> => {
    const window = held.find(
      (one) => one.offset <= offset && offset + into.length <= one.offset + one.bytes.length,
    )
    if (window === undefined) return source.read(offset, into)
    into.set(window.bytes.subarray(offset - window.offset, offset - window.offset + into.length))
  }
  return { jobs: chosen.flat(), source: { read } }
}

/** Payloads, and their segments, are apart in the image: no window goes over the end of one. */
function byPayload(jobs: readonly FrameJob[]): FrameJob[][] {
  const runs: FrameJob[][] = []
  for (const job of jobs) {
    const run = runs.at(-1)
    const last = run?.at(-1)
    if (last?.payload === job.payload && last.segment === job.segment) run?.push(job)
    else runs.push([job])
  }
  return runs
}

/** Bytes that are read for these frames; the blocks at their ends count for both neighbours. */
const sealedBytes = (jobs: readonly FrameJob[]): number =>
  jobs.reduce((sum, job) => sum + job.sealedBytes, 0)
