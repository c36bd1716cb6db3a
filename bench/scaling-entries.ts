/**
 * What more threads bring: the engine alone with 1, 2, 4 … workers on all processors, and as many
 * `zstd -t` on the same frames, because the machine itself may not scale.
 */
import { frames } from './disk-entries.ts'
import { type Entry, secondsPrinted } from './entry.ts'
import { decodeAlone } from './words.ts'

/** 1, 2, 4 … and the number of processors itself. */
export function workerCounts(cores: number): readonly number[] {
  const doubled = Array.from({ length: Math.floor(Math.log2(cores)) + 1 }, (_, i) => 2 ** i)
  return doubled.includes(cores) ? doubled : [...doubled, cores]
}

/** A number of files that each count of processes shares evenly. */
export function frameFiles(counts: readonly number[]): number {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  return counts.reduce((all, count) => (all * count) / gcd(all, count), 1)
}

export function scalingEntries(cores: number): readonly Entry[] {
  return workerCounts(cores).flatMap((workers): Entry[] => [
    {
      name: `decode-${workers}`,
      group: 'scaling',
      kind: 'osflash',
      title: `the engine alone, workers: ${workers}`,
      needs: [],
      reads: 'disk.osimg',
      run: decodeAlone('disk.osimg'),
      took: secondsPrinted,
      workers,
      widest: true,
      main: true,
    },
    {
      name: `zstd-t-${workers}`,
      group: 'scaling',
      kind: 'ceiling',
      title: `zstd -t, processes: ${workers}`,
      needs: ['zstd', 'xargs'],
      reads: 'frames.*',
      inputs: [frames],
      run: 'ls frames.*.zst | xargs -P $WORKERS -n 1 zstd -tq',
      workers,
      widest: true,
      main: true,
    },
  ])
}
