/** What an earlier run left is believed only where it is, and nobody else is let in. */
import { chmod, lstat, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { holdLock } from '../../src/system/lock.ts'
import { MIB } from '../../src/units.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { differences, gptLayout, packDisk, type Region, unpackTest } from './disk-fixtures.ts'

const DISK_BYTES = 128 * MIB
const disk = gptLayout(DISK_BYTES)
const large = (): Region[] => [{ name: 'root', offset: MIB, raw: noise(100 * MIB, 9) }]

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

interface CutRun {
  readonly folder: string
  readonly overwrite?: boolean
}

/** A run that is cancelled after some checkpoints; gives the image and the target's path. */
async function cutRun({ folder, overwrite = false }: CutRun) {
  const image = await packDisk({ folder, regions: large(), disk }, keys)
  const to = join(folder, 'disk.img')
  if (overwrite) {
    await writeFile(to, '')
    await truncate(to, DISK_BYTES)
  }
  const stop = new AbortController()
  const cut = unpackTest({
    image,
    keys,
    to,
    overwrite,
    fileBytes: DISK_BYTES,
    signal: stop.signal,
    emit: (event) => {
      if (event.event === 'progress' && event.phase === 'writing' && event.done > 80 * MIB) {
        stop.abort()
      }
    },
  })
  await expect(cut).rejects.toMatchObject({ code: 'cancelled' })
  const { frames } = JSON.parse(await readFile(`${to}.checkpoint`, 'utf8'))
  expect(frames).toBeGreaterThan(0)
  return { image, to }
}

describe('a checkpoint', () => {
  it('of a new file is not applied to a file that was put in its place', async () => {
    await using folder = await makeFolder()
    const { image, to } = await cutRun({ folder: folder.path })
    await writeFile(to, '')
    await truncate(to, DISK_BYTES)
    const wrong = unpackTest({ image, keys, to, overwrite: true, resume: true })
    await expect(wrong).rejects.toMatchObject({ code: 'refused' })
  })

  it('of a file is not applied to another file of the same name and size', async () => {
    await using folder = await makeFolder()
    const { image, to } = await cutRun({ folder: folder.path, overwrite: true })
    await rm(to)
    await writeFile(to, '')
    await truncate(to, DISK_BYTES)
    const wrong = unpackTest({ image, keys, to, overwrite: true, resume: true })
    await expect(wrong).rejects.toMatchObject({ code: 'refused' })
  })

  it('is not believed when the frames that it counts are gone', async () => {
    await using folder = await makeFolder()
    const { image, to } = await cutRun({ folder: folder.path, overwrite: true })
    await truncate(to, 0)
    await truncate(to, DISK_BYTES)
    const wrong = unpackTest({ image, keys, to, overwrite: true, resume: true })
    await expect(wrong).rejects.toThrow(/is not what an earlier run wrote/)
    const again = await unpackTest({ image, keys, to, overwrite: true, verify: true })
    expect(again.framesResumed).toBe(0)
    expect(differences(await readFile(to), large())).toEqual([])
  })

  it('goes on with the size that was begun, and refuses another one', async () => {
    await using folder = await makeFolder()
    const { image, to } = await cutRun({ folder: folder.path })
    const other = unpackTest({ image, keys, to, fileBytes: 130 * MIB, resume: true })
    await expect(other).rejects.toThrow(/it was begun with 134217728 bytes, not 136314880/)
    const report = await unpackTest({ image, keys, to, resume: true })
    expect(report.framesResumed).toBeGreaterThan(0)
    expect((await stat(to)).size).toBe(DISK_BYTES)
  })
})

describe('verifying after resuming', () => {
  it('sees a byte that somebody wrote where zeros belong', async () => {
    await using folder = await makeFolder()
    const zeros = Buffer.concat([noise(100 * MIB, 9), Buffer.alloc(8 * MIB)])
    const holes = [{ name: 'root', offset: MIB, raw: zeros }]
    const { to } = await cutRun({ folder: folder.path })
    await rm(`${to}.partial`)
    const image = await packDisk({ folder: folder.path, regions: holes, disk }, keys, {
      output: join(folder.path, 'holes.osimg'),
    })
    await expect(stopLate({ image, to })).rejects.toMatchObject({ code: 'cancelled' })
    const partial = await readFile(`${to}.partial`)
    partial[105 * MIB] = 0x58
    await writeFile(`${to}.partial`, partial)
    const wrong = unpackTest({ image, keys, to, resume: true, verify: true })
    await expect(wrong).rejects.toMatchObject({ code: 'readback' })
    // The checkpoint counted those zeros; a run that believes it would end well.
    await expect(stat(`${to}.checkpoint`)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

/** Cancels when the body is written. */
function stopLate({ image, to }: { readonly image: string; readonly to: string }) {
  const stop = new AbortController()
  return unpackTest({
    image,
    keys,
    to,
    signal: stop.signal,
    verify: true,
    emit: (event) => {
      if (event.event === 'phase' && event.phase === 'verifying') stop.abort()
    },
  })
}

describe('the file that grows', () => {
  it('is not written through a link that lies in its place', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    const victim = join(folder.path, 'victim')
    await writeFile(victim, 'precious')
    await symlink(victim, `${to}.partial`)
    await expect(unpackTest({ image, keys, to })).rejects.toMatchObject({ code: 'refused' })
    expect(await readFile(victim, 'utf8')).toBe('precious')
  })

  it('is for its owner alone, whatever lay in its place', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    await writeFile(`${to}.partial`, 'old')
    await chmod(`${to}.partial`, 0o666)
    await unpackTest({ image, keys, to })
    expect((await lstat(to)).mode & 0o777).toBe(0o600)
    expect(differences(await readFile(to))).toEqual([])
  })

  it('has one writer at a time', async () => {
    await using folder = await makeFolder()
    const image = await packDisk({ folder: folder.path }, keys)
    const to = join(folder.path, 'disk.img')
    const outcomes = await Promise.allSettled([
      unpackTest({ image, keys, to }),
      unpackTest({ image, keys, to }),
    ])
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused).toMatchObject([{ reason: { code: 'refused' } }])
    expect(differences(await readFile(to))).toEqual([])
  })
})

describe('holdLock', () => {
  it('refuses a second holder until the first lets go', async () => {
    const name = `test ${process.pid}`
    const first = await holdLock(name, 'testing')
    await expect(holdLock(name, 'testing')).rejects.toThrow('testing: another osflash is at it')
    await using _other = await holdLock(`${name} other`, 'testing')
    await first[Symbol.asyncDispose]()
    await using _again = await holdLock(name, 'testing')
    expect(_again).toBeDefined()
  })
})

describe('a disk whose table is in its payload', () => {
  it('gets its first page last, when all else is safe', async () => {
    await using folder = await makeFolder()
    const raw = noise(8 * MIB + 512, 4)
    const whole: Region[] = [{ name: 'disk', offset: 0, raw }]
    const layout = {
      sectorBytes: 512 as const,
      minimumBytes: raw.length,
      table: { kind: 'none' as const },
      partitions: [],
    }
    const image = await packDisk({ folder: folder.path, regions: whole, disk: layout }, keys)
    const to = join(folder.path, 'disk.img')
    await unpackTest({ image, keys, to, verify: true })
    expect((await readFile(to)).equals(raw)).toBe(true)
  })
})
