/** Whole disks: into new files, into files that exist, on again after a cut, and refusals. */
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import { decryptSessionKey } from '../../src/encrypt/session-key.ts'
import { OsflashError } from '../../src/errors.ts'
import type { ProgressEvent } from '../../src/events.ts'
import { run } from '../../src/system/run.ts'
import { MIB } from '../../src/units.ts'
import { openImage } from '../../src/unpack/image.ts'
import type { Target } from '../../src/unpack/target.ts'
import { planUnpack } from '../../src/unpack/unpack-disk.ts'
import { verifyImage } from '../../src/unpack/verify.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import {
  checkFor,
  differences,
  gptLayout,
  LINUX,
  packDisk,
  regions,
  unpackTest,
} from './disk-fixtures.ts'

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

/** A disk whose partition 3 has data for several checkpoints. */
const large = () => [
  ...regions().slice(0, 2),
  { name: 'root', offset: 4 * MIB, raw: noise(90 * MIB, 7) },
]

const disk = gptLayout(128 * MIB)

/** Stops a run after this many bytes were written. */
function stopAfter(bytes: number) {
  const stop = new AbortController()
  const emit = (event: ProgressEvent): void => {
    if (event.event === 'progress' && event.phase === 'writing' && event.done >= bytes) stop.abort()
  }
  return { signal: stop.signal, emit }
}

describe('unpackDisk to a file', () => {
  it('writes every region, the table that sgdisk accepts, and nothing else', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    const report = await unpackTest({ image, keys, to, verify: true, fileBytes: 24 * MIB })
    const written = await readFile(to)
    expect(differences(written)).toEqual([])
    expect(written.length).toBe(24 * MIB)
    expect(report.framesResumed).toBe(0)
    const { stdout } = await run(['sgdisk', '-v', to])
    expect(stdout).toContain('No problems found')
    expect(written.subarray(0, 9).toString()).toBe('boot code')
    expect((await stat(to)).blocks * 512).toBeLessThan(12 * MIB)
    expect((await readdir(folder.path)).sort()).toEqual(
      ['a.osimg', 'boot.raw', 'disk.img', 'efi.raw', 'root.raw'].sort(),
    )
  })

  it('makes zeros and wipes what was there in a file that exists', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    await writeFile(to, Buffer.alloc(20 * MIB, 0xee))
    await unpackTest({ image, keys, to, overwrite: true, verify: true })
    const written = await readFile(to)
    expect(differences(written)).toEqual([])
    expect(written.length).toBe(20 * MIB)
    expect((await run(['sgdisk', '-v', to])).stdout).toContain('No problems found')
    // Unused and between partitions: left alone.
    expect(written[MIB + 512 * 1024]).toBe(0xee)
    // The ends of the disk hold nothing old.
    expect(written.subarray(2 * 512 + 128 * 3, 34 * 512).every((byte) => byte === 0)).toBe(true)
  })

  it('takes a session key, a partition more, and whatever stands before the target', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    await using source = await openFileSource(image)
    const { keysBytes } = await openImage(source, undefined)
    const sessionKey = await decryptSessionKey(keysBytes, [keys.recipient])
    const to = join(folder.path, 'disk.img')
    const append = { name: 'store', type: LINUX, guid: '11111111-2222-4333-8444-555555555555' }
    const touched: number[] = []
    const wrapTarget = (target: Target): Target => ({
      ...target,
      write: (offset, bytes) => {
        touched.push(offset)
        return target.write(offset, bytes)
      },
    })
    const options = { identities: { sessionKey }, append, wrapTarget, fileBytes: 24 * MIB }
    await unpackTest({ image, keys, to, verify: true, ...options })
    expect(differences(await readFile(to))).toEqual([])
    expect(touched).toContain(0)
    const { stdout } = await run(['sfdisk', '--json', to])
    expect(JSON.parse(stdout).partitiontable.partitions.at(-1)).toMatchObject({
      start: 16 * 2_048,
      size: 7 * 2_048,
      name: 'store',
      uuid: append.guid.toUpperCase(),
    })
  })

  it('verifies down to the raw bytes with a session key alone', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    await using source = await openFileSource(image)
    const { keysBytes } = await openImage(source, undefined)
    const sessionKey = await decryptSessionKey(keysBytes, [keys.recipient])
    const verify = (key: Uint8Array) =>
      verifyImage({
        source,
        check: checkFor(keys),
        identities: { sessionKey: key },
        workers: 2,
        emit: () => undefined,
      })
    expect((await verify(sessionKey)).frames).toBeGreaterThan(0)
    await expect(verify(new Uint8Array(32))).rejects.toMatchObject({ code: 'decryption' })
  })

  it('stops at a session key of another image', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const identities = { sessionKey: new Uint8Array(32) }
    const failure = unpackTest({ image, keys, to: join(folder.path, 'disk.img'), identities })
    await expect(failure).rejects.toMatchObject({ code: 'decryption' })
  })

  it.each([
    ['a file that exists', {}, /disk.img: it exists/],
    ['too small', { fileBytes: 16 * MIB - 512, to: 'other.img' }, /16.0 MiB, the image needs/],
  ])('refuses %s, and leaves everything as it was', async (_, options, message) => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    await writeFile(join(folder.path, 'disk.img'), 'mine')
    const before = (await readdir(folder.path)).sort()
    const to = join(folder.path, 'to' in options ? options.to : 'disk.img')
    const failure = unpackTest({ image, keys, ...options, to })
    await expect(failure).rejects.toMatchObject({ code: 'refused' })
    await expect(failure).rejects.toThrow(message)
    expect((await readdir(folder.path)).sort()).toEqual(before)
    expect(await readFile(join(folder.path, 'disk.img'), 'utf8')).toBe('mine')
  })

  it('plans a dry run for the target that is there', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    await writeFile(to, '')
    await run(['truncate', '-s', '64M', to])
    await using source = await openFileSource(image)
    const options = { source, check: checkFor(keys), to, overwrite: true, resume: false }
    expect((await planUnpack(options)).diskBytes).toBe(64 * MIB)
    await expect(planUnpack({ ...options, overwrite: false })).rejects.toThrow(/it exists/)
  })
})

describe('resuming', () => {
  it('goes on after a cut, writes no safe frame twice, and ends in the same bytes', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path, regions: large(), disk }, keys)
    const whole = join(folder.path, 'whole.img')
    const fileBytes = 128 * MIB
    const all = await unpackTest({ image, keys, to: whole, fileBytes })
    const to = join(folder.path, 'disk.img')
    const cut = unpackTest({ image, keys, to, fileBytes, ...stopAfter(80 * MIB) })
    await expect(cut).rejects.toMatchObject({ code: 'cancelled' })
    await expect(stat(to)).rejects.toThrow(/ENOENT/)
    const rest = await unpackTest({ image, keys, to, fileBytes, resume: true, verify: true })
    expect(rest.framesResumed).toBeGreaterThan(0)
    expect(rest.frames + rest.framesResumed).toBe(all.frames)
    expect((await readFile(to)).equals(await readFile(whole))).toBe(true)
  })

  it('starts again when the file of the earlier run is gone', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path, regions: large(), disk }, keys)
    const to = join(folder.path, 'disk.img')
    const fileBytes = 128 * MIB
    const cut = unpackTest({ image, keys, to, fileBytes, ...stopAfter(80 * MIB) })
    await expect(cut).rejects.toMatchObject({ code: 'cancelled' })
    await rm(`${to}.partial`)
    const report = await unpackTest({ image, keys, to, fileBytes, resume: true })
    expect(report.framesResumed).toBe(0)
    expect(differences(await readFile(to), large())).toEqual([])
  })

  it('leaves no byte of another image in a file that it goes on with', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    // What a run that was killed before its first checkpoint may leave.
    await writeFile(`${to}.partial`, Buffer.alloc(16 * MIB, 0xee))
    await unpackTest({ image, keys, to, resume: true })
    const written = await readFile(to)
    expect(differences(written)).toEqual([])
    expect(written.includes(Buffer.alloc(16, 0xee))).toBe(false)
  })

  it('does not believe a checkpoint once another run has begun', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path, regions: large(), disk }, keys)
    const other = await packDisk({ folder: folder.path }, keys, {
      output: join(folder.path, 'other.osimg'),
    })
    const to = join(folder.path, 'disk.img')
    const fileBytes = 128 * MIB
    const cut = unpackTest({ image, keys, to, fileBytes, ...stopAfter(80 * MIB) })
    await expect(cut).rejects.toMatchObject({ code: 'cancelled' })
    const second = unpackTest({ image: other, keys, to, fileBytes, ...stopAfter(0) })
    await expect(second).rejects.toMatchObject({ code: 'cancelled' })
    // The second run left a checkpoint of its own; that of the first is gone.
    const third = unpackTest({ image, keys, to, fileBytes, resume: true })
    await expect(third).rejects.toMatchObject({ code: 'refused' })
    const report = await unpackTest({ image, keys, to, fileBytes })
    expect(report.framesResumed).toBe(0)
    expect(differences(await readFile(to), large())).toEqual([])
  })

  it('refuses the checkpoint of another image', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path, regions: large(), disk }, keys)
    const other = await packDisk({ folder: folder.path }, keys, {
      output: join(folder.path, 'other.osimg'),
    })
    const to = join(folder.path, 'disk.img')
    const fileBytes = 128 * MIB
    const cut = unpackTest({ image, keys, to, fileBytes, ...stopAfter(80 * MIB) })
    await expect(cut).rejects.toMatchObject({ code: 'cancelled' })
    const second = unpackTest({ image: other, keys, to, fileBytes, resume: true })
    await expect(second).rejects.toThrow(/belongs to another image or target/)
    await expect(second).rejects.toBeInstanceOf(OsflashError)
  })
})
