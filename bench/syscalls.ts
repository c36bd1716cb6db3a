/**
 * System calls of one `osflash unpack`, per GiB of data, by `strace -c -f`.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GIB } from '../src/units.ts'
import { type Shell, shell } from './measure.ts'
import { READING } from './words.ts'

export interface CallCount {
  readonly name: string
  readonly calls: number
}

/** Rows of the table that strace writes: `% time, seconds, usecs/call, calls, [errors,] name`. */
export function readCounts(table: string): readonly CallCount[] {
  return table.split('\n').flatMap((line) => {
    const [, calls, name] = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$/.exec(line) ?? []
    return name === undefined || name === 'total' ? [] : [{ name, calls: Number(calls) }]
  })
}

/** Calls per GiB of data, the most frequent first. */
export function perGib(counts: readonly CallCount[], dataBytes: number): readonly CallCount[] {
  const rates = counts.map(({ name, calls }) => ({ name, calls: (calls * GIB) / dataBytes }))
  return rates.sort((a, b) => b.calls - a.calls)
}

/** Counts the calls of unpacking `disk.osimg` to an allocated file. */
export async function countCalls(where: Shell): Promise<readonly CallCount[]> {
  await shell(where, 'fallocate -l $DISK_BYTES out.img')
  await shell(
    where,
    `strace -f -c -o calls.txt $OSFLASH unpack disk.osimg --to out.img --force ${READING}`,
  )
  await shell(where, 'rm out.img')
  return readCounts(await readFile(join(where.folder, 'calls.txt'), 'utf8'))
}
