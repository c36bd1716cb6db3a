/**
 * Results of a small run that never was, with round numbers.
 */
import type { Entry } from '../../bench/entry.ts'
import { type BenchResults, resultOf } from '../../bench/results.ts'

const input = {
  diskBytes: 2 * 2 ** 30,
  mappedBytes: 1_000_000_000,
  files: 3,
  fileBytes: 500_000_000,
  smallFiles: 2,
  smallFileBytes: 200_000,
  codecFileBytes: 100_000_000,
  imageBytes: 400_000_000,
}

/** An entry that took so many seconds in each round, on two cores and in 100 MiB. */
export function took(entry: Pick<Entry, 'name' | 'group' | 'kind'>, ...seconds: number[]) {
  const whole: Entry = { title: `${entry.name} | x`, needs: [], reads: '', run: 'true', ...entry }
  const measurements = seconds.map((n) => ({
    seconds: n,
    wallSeconds: n,
    cpuSeconds: 2 * n,
    peakBytes: 100 * 2 ** 20,
  }))
  return resultOf({ entry: whole, cores: 4, measurements }, input)
}

export const results: BenchResults = {
  format: 'osflash-bench/2',
  date: '2027-01-31',
  machine: { cpu: 'Example(R) 9000', cores: 4, memoryGib: 16, kernel: '6.12' },
  cores: [4],
  rounds: 3,
  level: 3,
  loadBefore: 0.25,
  input,
  versions: { gpg: 'gpg 2.4' },
  entries: [
    took({ name: 'write', group: 'disk', kind: 'ceiling' }, 0.4, 0.5, 0.5),
    took({ name: 'decode', group: 'disk', kind: 'ceiling' }, 1, 1, 1.25),
    { ...took({ name: 'osflash-file', group: 'disk', kind: 'osflash' }, 2, 1.6, 4), checked: true },
    took({ name: 'gpg-direct', group: 'disk', kind: 'peer' }, 10, 8, 20),
    took({ name: 'osflash-tree', group: 'tree', kind: 'osflash' }, 1),
  ],
  skipped: [{ name: 'gosop', why: 'no gosop' }],
}
