/** Checkpoints: read back, bound to their image and target, and counted as a prefix. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import {
  FrameCounter,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from '../../src/unpack/checkpoint.ts'

const key = { manifestDigest: 'abc', targetBytes: 1_000, targetIdentity: 'new 1:2:3' }
const done = { frames: 7, zeroedBytes: 4_096 }
const checkpoint = { format: 'osflash-checkpoint/2', ...key, ...done } as const

describe('a checkpoint', () => {
  it('is read back, replaced and removed, and leaves no other file', async () => {
    await using scratch = await makeScratch('checkpoint')
    const path = join(scratch.path, 'a')
    expect(await readCheckpoint(path, key)).toBeUndefined()
    await writeCheckpoint(path, checkpoint)
    await writeCheckpoint(path, { ...checkpoint, frames: 8 })
    expect(await readCheckpoint(path, key)).toEqual({ ...done, frames: 8 })
    expect(await readdir(scratch.path)).toEqual(['a'])
    await removeCheckpoint(path)
    await removeCheckpoint(path)
    expect(await readdir(scratch.path)).toEqual([])
  })

  it.each([
    ['another image', { ...checkpoint, manifestDigest: 'abd' }],
    ['another size', { ...checkpoint, targetBytes: 1_001 }],
    ['another file', { ...checkpoint, targetIdentity: 'new 1:2:4' }],
    ['another version', { ...checkpoint, format: 'osflash-checkpoint/1' }],
    ['no word of zeros', { format: checkpoint.format, ...key, frames: 7 }],
    ['a key too many', { ...checkpoint, x: 1 }],
    ['a negative number', { ...checkpoint, frames: -1 }],
    ['no JSON', undefined],
  ])('is refused with %s', async (_, content) => {
    await using scratch = await makeScratch('checkpoint')
    const path = join(scratch.path, 'a')
    await writeFile(path, content === undefined ? '{"format"' : JSON.stringify(content))
    await expect(readCheckpoint(path, key)).rejects.toMatchObject({ code: 'refused' })
  })

  it('that cannot be written or read ends in one line', async () => {
    await using scratch = await makeScratch('checkpoint')
    const path = join(scratch.path, 'no', 'a')
    await expect(writeCheckpoint(path, checkpoint)).rejects.toThrow(/^writing .*no such file/)
    await expect(readCheckpoint(scratch.path, key)).rejects.toThrow(/^reading .*is a directory/)
    await mkdir(join(scratch.path, 'a'))
    await expect(writeCheckpoint(join(scratch.path, 'a'), checkpoint)).rejects.toThrow(/^writing /)
    expect(await readdir(scratch.path)).toEqual(['a'])
  })
})

describe('a frame counter', () => {
  it('knows up to which frame all have ended, in whatever order they end', () => {
    const order = fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(order, fc.nat(5), (ended, start) => {
        const counter = new FrameCounter(start)
        const seen = new Set<number>()
        for (const frame of ended.filter((n) => n >= start)) {
          counter.ended(frame)
          seen.add(frame)
          let prefix = start
          while (seen.has(prefix)) prefix += 1
          expect(counter.prefix).toBe(prefix)
        }
      }),
    )
  })
})
