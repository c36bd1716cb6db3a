/** What the tests of extraction share: tars of GNU tar, and a writer that reuses its buffer. */
import { execFileSync } from 'node:child_process'
import type { OsflashError } from '../../../src/errors.ts'
import { openTreeSink, type TreeSinkOptions } from '../../../src/unpack/tree/tree-sink.ts'
import { settleTimes } from './described-tree.ts'

/** GNU tar of a source tree, made the way that the refusals recommend. */
export function gnuTar(source: string, ...options: readonly string[]) {
  settleTimes(source)
  const args = ['--format=pax', '--xattrs', '--xattrs-include=*', ...options, '-C', source, '.']
  const tar = execFileSync('tar', ['-c', ...args], { maxBuffer: 2 ** 30 })
  const list = execFileSync('tar', ['-t', '--quoting-style=escape'], { input: tar })
  return { tar, entries: list.toString().split('\n').length - 1 }
}

export interface Extraction extends TreeSinkOptions {
  readonly chunkBytes?: number
}

/** Extracts through one buffer that is overwritten as soon as a write is settled. */
export async function extract(tar: Uint8Array, options: Extraction): Promise<void> {
  const chunkBytes = options.chunkBytes ?? 1 << 20
  const buffer = new Uint8Array(new SharedArrayBuffer(chunkBytes))
  const sink = openTreeSink(options)
  for (let at = 0; at < tar.length; at += chunkBytes) {
    const chunk = tar.subarray(at, at + chunkBytes)
    buffer.set(chunk)
    await sink.write(buffer.subarray(0, chunk.length))
    buffer.fill(0xee)
  }
  await sink.end()
}

/** The failure of what must fail. */
export async function failureOf(work: Promise<unknown>): Promise<OsflashError> {
  const error = await work.then(
    () => undefined,
    (cause: OsflashError) => cause,
  )
  if (error === undefined) throw new Error('was not refused')
  return error
}
