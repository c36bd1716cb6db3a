/** Zeros by the kernel, by holes, and written; the same bytes each time. */
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import type { DiskRange } from '../../src/unpack/plan.ts'
import { lookAtTarget, openTarget } from '../../src/unpack/target.ts'
import { makeZeroFill } from '../../src/unpack/zero-fill.ts'

const BYTES = 24 * MIB
/** Small and large, aligned and not. */
const RANGES: readonly DiskRange[] = [
  { offset: 4_096, length: 8_192 },
  { offset: 100_000, length: 50_001 },
  { offset: MIB + 512, length: 5 * MIB },
  { offset: 8 * MIB, length: 4 * MIB },
  { offset: 16 * MIB, length: 8 * MIB },
]

const PATH = process.env.PATH ?? ''
afterEach(() => {
  process.env.PATH = PATH
})

interface Filled {
  readonly bytes: Buffer
  /** What was written, as `offset length`. */
  readonly writes: string[]
  readonly blocks: number
}

/** Fills a file of old bytes in `folder`, in two calls. */
async function fill(folder: string, signal?: AbortSignal): Promise<Filled> {
  const path = join(folder, 'disk.img')
  await writeFile(path, Buffer.alloc(BYTES, 0xee))
  const writes: string[] = []
  {
    await using file = await open(path, 'r+')
    const write = async (offset: number, bytes: Uint8Array): Promise<void> => {
      writes.push(`${offset} ${bytes.length}`)
      await file.write(bytes, 0, bytes.length, offset)
    }
    const zeroFill = makeZeroFill({ path, device: false, write })
    await zeroFill(RANGES.slice(0, 3), signal)
    await zeroFill(RANGES.slice(3), signal)
  }
  return { bytes: await readFile(path), writes, blocks: (await stat(path)).blocks }
}

function expected(): Buffer {
  const bytes = Buffer.alloc(BYTES, 0xee)
  for (const { offset, length } of RANGES) bytes.fill(0, offset, offset + length)
  return bytes
}

/** A folder of programs that go before all others. */
async function programs(folder: string, scripts: Readonly<Record<string, string>>): Promise<void> {
  const bin = join(folder, 'bin')
  await mkdir(bin)
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(bin, name), 0o755)
  }
  process.env.PATH = `${bin}:${PATH}`
}

const isLarge = (write: string): boolean => Number(write.split(' ')[1]) >= MIB

describe('zeros', () => {
  it('of large ranges are made by the kernel, of small ones written', async () => {
    await using scratch = await makeScratch('zero')
    const { bytes, writes } = await fill(scratch.path)
    expect(bytes.equals(expected())).toBe(true)
    expect(writes.filter(isLarge)).toEqual([])
    expect(writes).toContain('4096 8192')
  })

  it('share a process: one for each call', async () => {
    await using scratch = await makeScratch('zero')
    const log = join(scratch.path, 'log')
    await programs(scratch.path, {
      xargs: `echo run >>'${log}'; PATH='${PATH}' exec xargs "$@"`,
    })
    expect((await fill(scratch.path)).bytes.equals(expected())).toBe(true)
    expect((await readFile(log, 'utf8')).split('\n').filter(Boolean)).toHaveLength(2)
  })

  it('are holes where the file system knows only those', async () => {
    await using scratch = await makeScratch('zero')
    const real = `for word; do [ "$word" = --zero-range ] && exit 1; done; PATH='${PATH}'`
    await programs(scratch.path, { fallocate: `${real} exec fallocate "$@"` })
    const { bytes, writes, blocks } = await fill(scratch.path)
    expect(bytes.equals(expected())).toBe(true)
    expect(writes.filter(isLarge)).toEqual([])
    expect(blocks * 512).toBeLessThan(BYTES - 12 * MIB)
  })

  it.each([
    ['the kernel cannot', { fallocate: 'exit 1' }],
    ['there is no fallocate', { xargs: 'exit 127' }],
    [
      'it fails later',
      {
        fallocate: `[ -e "$0.on" ] && exit 1; touch "$0.on"; PATH='${PATH}' exec fallocate "$@"`,
      },
    ],
  ])('are written where %s', async (_, scripts) => {
    await using scratch = await makeScratch('zero')
    await programs(scratch.path, scripts)
    const { bytes, writes } = await fill(scratch.path)
    expect(bytes.equals(expected())).toBe(true)
    expect(writes.filter(isLarge).length).toBeGreaterThan(8)
  })

  it('end when the run is cancelled', async () => {
    await using scratch = await makeScratch('zero')
    const stop = AbortSignal.abort()
    await expect(fill(scratch.path, stop)).rejects.toMatchObject({ code: 'cancelled' })
  })
})

it('zeroes what was opened, not what has its name meanwhile', async () => {
  await using scratch = await makeScratch('zero-fill')
  const path = join(scratch.path, 'disk.img')
  await writeFile(path, Buffer.alloc(BYTES, 0xee))
  const swap = `[ -e ${path}.away ] || { mv ${path} ${path}.away && cp ${path}.away ${path}; }`
  await programs(scratch.path, { fallocate: `${swap}; PATH='${PATH}' exec fallocate "$@"` })
  const options = { path, leastBytes: 0, resume: false, overwrite: true }
  {
    await using target = await openTarget(options, await lookAtTarget(options), false)
    await target.zero(8 * MIB, 4 * MIB)
    await target.dropCache()
  }
  expect((await readFile(path)).every((byte) => byte === 0xee)).toBe(true)
  const opened = await readFile(`${path}.away`)
  expect(opened.subarray(8 * MIB, 12 * MIB).every((byte) => byte === 0)).toBe(true)
})
