/**
 * Disks that fail while they are written: a typed error, and a run that can go on. As root.
 *
 * 1. A file on a tmpfs that is too small, and a loop device over a sparse file on one: its writes
 *    end in EIO, as those of a failing disk do.
 * 2. The tmpfs is made larger; `resume` ends in the right bytes.
 */
import { mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { lookAtTarget, openTarget } from '../../src/unpack/target.ts'
import { makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { differences, gptLayout, packDisk, type Region, unpackTest } from './disk-fixtures.ts'

const DISK_BYTES = 128 * MIB
const regions: readonly Region[] = [{ name: 'root', offset: 4 * MIB, raw: noise(90 * MIB, 9) }]
const isRoot = process.getuid?.() === 0

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

interface Mounted extends AsyncDisposable {
  readonly folder: string
  readonly image: string
  /** A folder of its own file system. */
  readonly place: string
}

async function mounted(kind: 'tmpfs' | 'ramfs', option: string): Promise<Mounted> {
  const scratch = await makeScratch('failing')
  const place = join(scratch.path, 'place')
  await mkdir(place)
  const disk = gptLayout(DISK_BYTES)
  const image = await packDisk({ folder: scratch.path, regions, disk }, keys)
  await run(['mount', '-t', kind, '-o', option, kind, place])
  return {
    folder: scratch.path,
    image,
    place,
    [Symbol.asyncDispose]: async () => {
      await run(['umount', place])
      await scratch[Symbol.asyncDispose]()
    },
  }
}

const grow = ({ place }: Mounted) => run(['mount', '-o', 'remount,size=256m', place])

describe.runIf(isRoot)('a disk that fails', () => {
  it('for want of room is gone on with when there is room', async () => {
    await using at = await mounted('tmpfs', 'size=64m')
    const to = join(at.place, 'disk.img')
    const checkpointPath = join(at.folder, 'checkpoint')
    // One thread: frames in order, so that what is full has the first of them.
    const test = { image: at.image, keys, to, checkpointPath, workers: 1 }
    const full = unpackTest(test)
    await expect(full).rejects.toMatchObject({ code: 'io', data: { errno: 'ENOSPC' } })
    await grow(at)
    const rest = await unpackTest({ ...test, resume: true, verify: true })
    expect(rest.framesResumed).toBeGreaterThan(0)
    expect(differences(await readFile(to), regions)).toEqual([])
  })

  it('with an error of the device has no first sector, and is gone on with', async () => {
    await using at = await mounted('tmpfs', 'size=64m')
    const file = join(at.place, 'sparse')
    await writeFile(file, '')
    await truncate(file, DISK_BYTES)
    const device = (await run(['losetup', '--find', '--show', file])).stdout.trim()
    try {
      const checkpointPath = join(at.folder, 'c')
      const test = { image: at.image, keys, to: device, checkpointPath, workers: 1 }
      const failed = unpackTest(test)
      await expect(failed).rejects.toMatchObject({ code: 'io' })
      await expect(failed).rejects.toThrow(/^(writing|flushing) \/dev\/loop\d+.*: /)
      expect((await readFile(file)).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true)
      await grow(at)
      const rest = await unpackTest({ ...test, resume: true, verify: true })
      expect(rest.framesResumed).toBeGreaterThan(0)
    } finally {
      await run(['losetup', '--detach', device])
    }
    expect(differences(await readFile(file), regions)).toEqual([])
  })
})

describe.runIf(isRoot)('a file system without direct access', () => {
  it('is written through the page cache, and reading back says so', async () => {
    await using at = await mounted('ramfs', 'mode=700')
    const to = join(at.place, 'disk.img')
    const options = { path: to, leastBytes: MIB, overwrite: false, resume: false }
    {
      await using target = await openTarget(options, await lookAtTarget(options), false)
      expect(target.direct).toBe(false)
      expect(target.diskKind).toBe('unknown')
    }
    const notes: string[] = []
    await unpackTest({
      image: at.image,
      keys,
      to,
      verify: true,
      emit: (event) => event.event === 'note' && notes.push(event.text),
    })
    expect(notes).toEqual([expect.stringMatching(/has no direct reads: the page cache answers$/)])
    expect(differences(await readFile(to), regions)).toEqual([])
    expect((await stat(to)).size).toBe(DISK_BYTES)
  })

  it('takes zeros where it can make neither zeros nor holes', async () => {
    await using at = await mounted('ramfs', 'mode=700')
    const to = join(at.place, 'disk.img')
    await writeFile(to, Buffer.alloc(16 * MIB, 0xee))
    const options = { path: to, leastBytes: MIB, overwrite: true, resume: false }
    {
      await using target = await openTarget(options, await lookAtTarget(options), false)
      await target.zeroAll([{ offset: 5, length: 9 * MIB }])
    }
    await using file = await open(to, 'r')
    const { buffer } = await file.read(Buffer.alloc(10 * MIB), 0, 10 * MIB, 0)
    expect(buffer.subarray(0, 5).equals(Buffer.alloc(5, 0xee))).toBe(true)
    expect(buffer.subarray(5, 5 + 9 * MIB).equals(Buffer.alloc(9 * MIB))).toBe(true)
    expect(buffer.subarray(5 + 9 * MIB).equals(Buffer.alloc(MIB - 5, 0xee))).toBe(true)
  })
})
