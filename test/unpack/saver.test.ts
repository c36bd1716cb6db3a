/** Checkpoints beside the writing: when they are due, what they count, and who waits for them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { CHECKPOINT_MOST_BYTES, isDue, makeSaver } from '../../src/unpack/saver.ts'

const key = { manifestDigest: 'abc', targetBytes: 1_000, targetIdentity: 'new 1:2:3' }
const FRAME = 4 * MIB

describe('a checkpoint is due', () => {
  it.each([
    ['soon, on a slow disk: too few bytes', 31 * MIB, 10_000, false],
    ['after a quarter of a second and 32 MiB', 32 * MIB, 250, true],
    ['not before a quarter of a second', 127 * MIB, 249, false],
    ['at once after 128 MiB', CHECKPOINT_MOST_BYTES, 1, true],
  ])('%s', (_, bytes, ms, due) => {
    expect(isDue(bytes, ms)).toBe(due)
  })
})

/** A saver whose flushes end when told. */
async function withSaver(
  look: (test: {
    readonly saver: ReturnType<typeof makeSaver>
    readonly flushes: PromiseWithResolvers<void>[]
    readonly told: unknown[]
    readonly frames: () => Promise<number>
    readonly wait: (ms: number) => void
  }) => Promise<void>,
): Promise<void> {
  await using scratch = await makeScratch('saver')
  const path = join(scratch.path, 'checkpoint')
  const flushes: PromiseWithResolvers<void>[] = []
  const told: unknown[] = []
  let nowMs = 0
  const saver = makeSaver({
    sync: () => {
      const flush = Promise.withResolvers<void>()
      flushes.push(flush)
      return flush.promise
    },
    checkpoint: { path, key },
    start: { frames: 2, zeroedBytes: 10 },
    saved: (progress) => told.push(progress),
    nowMs: () => nowMs,
  })
  const frames = async () => JSON.parse(await readFile(path, 'utf8')).frames
  const wait = (ms: number): void => {
    nowMs += ms
  }
  await look({ saver, flushes, told, frames, wait })
}

describe('the saver', () => {
  it('counts what had ended before the flush, and tells of it after', () =>
    withSaver(async ({ saver, flushes, told, frames, wait }) => {
      wait(600)
      await saver.wrote(2, CHECKPOINT_MOST_BYTES)
      await saver.wrote(3, FRAME)
      saver.zeroed(50)
      expect(flushes).toHaveLength(1)
      expect(told).toEqual([])
      const last = saver.last()
      flushes[0]?.resolve()
      await expect.poll(() => flushes).toHaveLength(2)
      expect(told).toEqual([{ frames: 3, zeroedBytes: 10 }])
      expect(await frames()).toBe(3)
      flushes[1]?.resolve()
      await last
      expect(told.at(-1)).toEqual({ frames: 4, zeroedBytes: 50 })
      expect(await frames()).toBe(4)
    }))

  it('makes writing wait only when the next one is due, too', () =>
    withSaver(async ({ saver, flushes }) => {
      await saver.wrote(2, CHECKPOINT_MOST_BYTES)
      await saver.wrote(3, CHECKPOINT_MOST_BYTES - 1)
      let waited = false
      const late = saver.wrote(4, 1).then(() => {
        waited = true
      })
      await new Promise((resolve) => setImmediate(resolve))
      expect(waited).toBe(false)
      flushes[0]?.resolve()
      await late
      expect(flushes).toHaveLength(2)
      flushes[1]?.resolve()
    }))

  it('throws what a flush failed with, at the next frame and at the end', () =>
    withSaver(async ({ saver, flushes, told, frames }) => {
      await saver.wrote(2, CHECKPOINT_MOST_BYTES)
      flushes[0]?.reject(new Error('the disk is gone'))
      await new Promise((resolve) => setImmediate(resolve))
      await expect(saver.wrote(3, FRAME)).rejects.toThrow('the disk is gone')
      await expect(saver.last()).rejects.toThrow('the disk is gone')
      expect(flushes).toHaveLength(1)
      expect(told).toEqual([])
      await expect(frames()).rejects.toThrow(/ENOENT/)
    }))

  it('saves the frames of a run that failed, and says nothing of what goes wrong then', () =>
    withSaver(async ({ saver, flushes, told }) => {
      await saver.wrote(2, FRAME)
      const rescue = saver.rescue()
      await expect.poll(() => flushes).toHaveLength(1)
      flushes[0]?.resolve()
      await rescue
      expect(told).toEqual([{ frames: 3, zeroedBytes: 10 }])
      const again = saver.rescue()
      await expect.poll(() => flushes).toHaveLength(2)
      flushes[1]?.reject(new Error('the disk is gone'))
      await expect(again).resolves.toBeUndefined()
    }))

  it('writes no checkpoint after the last flush failed: the next one only seems to succeed', () =>
    withSaver(async ({ saver, flushes, told, frames }) => {
      await saver.wrote(2, FRAME)
      const last = saver.last()
      await expect.poll(() => flushes).toHaveLength(1)
      flushes[0]?.reject(new Error('a page was lost'))
      await expect(last).rejects.toThrow('a page was lost')
      await saver.rescue()
      expect(flushes).toHaveLength(1)
      expect(told).toEqual([])
      await expect(frames()).rejects.toThrow(/ENOENT/)
    }))
})
