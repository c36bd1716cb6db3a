/** What measuring writes to, and what is left of it. */
import { mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { holdLock } from '../../../src/system/lock.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { KIB, MIB } from '../../../src/units.ts'
import {
  type BenchTargetOptions,
  lookAtBenchTarget,
  openBenchTarget,
} from '../../../src/unpack/bench/bench-target.ts'

const FRAME_BYTES = 64 * KIB

async function scratchFolder(): Promise<string> {
  const scratch = await makeScratch('bench-target')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

const openAt = (to: string, options: Partial<BenchTargetOptions> = {}) =>
  openBenchTarget({ to, overwrite: false, frameBytes: FRAME_BYTES, ...options })

/** A file full of sevens. */
async function oldFile(bytes: number): Promise<string> {
  const path = join(await scratchFolder(), 'old.img')
  await writeFile(path, Buffer.alloc(bytes, 7))
  return path
}

it('makes a file that has no name while it is written', async () => {
  const folder = await scratchFolder()
  await using target = await openAt(join(folder, 'disk.img'))
  await target.write(0, FRAME_BYTES)
  await target.write(100_000, 1_000)
  await target.sync()
  expect(target.kind).toBe('new')
  expect(await readdir(folder)).toEqual([])
})

it('makes such a file in a directory that it is given', async () => {
  const folder = await scratchFolder()
  await mkdir(join(folder, 'here'))
  await using target = await openAt(join(folder, 'here'))
  await target.write(1, FRAME_BYTES)
  expect(target.kind).toBe('new')
  expect(await readdir(join(folder, 'here'))).toEqual([])
})

it('leaves alone what an interrupted unpack left beside the name', async () => {
  const folder = await scratchFolder()
  await writeFile(join(folder, 'disk.img.partial'), 'begun')
  await using target = await openAt(join(folder, 'disk.img'))
  await target.write(0, FRAME_BYTES)
  expect(await readdir(folder)).toEqual(['disk.img.partial'])
  expect(await readFile(join(folder, 'disk.img.partial'), 'utf8')).toBe('begun')
})

it('says what is wrong with a place that is not there', async () => {
  const missing = join(await scratchFolder(), 'none', 'disk.img')
  await expect(openAt(missing)).rejects.toMatchObject({ code: 'io' })
  await expect(openAt(missing)).rejects.toThrow(/no such file or directory/)
})

it('refuses what exists, and leaves it as it is', async () => {
  const path = await oldFile(4 * MIB)
  const refusal = openAt(path)
  await expect(refusal).rejects.toMatchObject({ code: 'refused' })
  await expect(refusal).rejects.toThrow(`measuring ${path}: it exists and would be overwritten`)
  expect((await readFile(path)).every((byte) => byte === 7)).toBe(true)
})

it('looks without touching: what would be lost, or nothing', async () => {
  const path = await oldFile(4 * MIB)
  const place = await lookAtBenchTarget({ to: path, overwrite: true })
  expect(place).toMatchObject({ kind: 'file', bytes: 4 * MIB })
  expect(await lookAtBenchTarget({ to: `${path}.new`, overwrite: false })).toBeUndefined()
  expect((await readFile(path)).every((byte) => byte === 7)).toBe(true)
})

it('overwrites what exists when told to: noise between two ends of zeros, no more', async () => {
  const path = await oldFile(4 * MIB)
  {
    await using target = await openAt(path, { overwrite: true })
    expect(target.kind).toBe('file')
    for (let number = 0; number < 100; number += 1) await target.write(number, FRAME_BYTES)
    await target.sync()
  }
  const bytes = await readFile(path)
  expect(bytes.length).toBe(4 * MIB)
  const isZero = (part: Buffer): boolean => part.every((byte) => byte === 0)
  expect(isZero(bytes.subarray(0, MIB))).toBe(true)
  expect(isZero(bytes.subarray(-MIB))).toBe(true)
  // Sevens in random bytes come once in 256; a page of them is what was there before.
  const old = Buffer.alloc(4 * KIB, 7)
  expect(bytes.subarray(MIB, -MIB).includes(old)).toBe(false)
})

it('removes the checkpoint of what it overwrites, and the first frame', async () => {
  const path = await oldFile(4 * MIB)
  const checkpointPath = `${path}.checkpoint`
  await writeFile(checkpointPath, 'all frames are there')
  {
    await using target = await openAt(path, { overwrite: true, checkpointPath })
    await expect(stat(checkpointPath)).rejects.toMatchObject({ code: 'ENOENT' })
    await target.write(0, FRAME_BYTES)
  }
  expect((await readFile(path)).subarray(MIB, MIB + 4 * KIB)).not.toEqual(Buffer.alloc(4 * KIB, 7))
})

it('keeps the checkpoint where it refuses', async () => {
  const path = await oldFile(4 * MIB)
  const checkpointPath = `${path}.checkpoint`
  await writeFile(checkpointPath, 'all frames are there')
  await expect(openAt(path, { checkpointPath })).rejects.toMatchObject({ code: 'refused' })
  expect(await readFile(checkpointPath, 'utf8')).toBe('all frames are there')
})

it('rounds a frame up to whole pages, and never leaves the file', async () => {
  const path = await oldFile(2 * MIB + 2 * FRAME_BYTES)
  {
    await using target = await openAt(path, { overwrite: true, frameBytes: FRAME_BYTES - 1 })
    for (const length of [1, 511, 4_097, FRAME_BYTES - 1]) await target.write(length, length)
    await target.sync()
  }
  expect((await stat(path)).size).toBe(2 * MIB + 2 * FRAME_BYTES)
})

it('refuses what is too small for one frame', async () => {
  const path = await oldFile(2 * MIB + FRAME_BYTES - 4_096)
  const refusal = openAt(path, { overwrite: true })
  await expect(refusal).rejects.toMatchObject({ code: 'refused' })
  await expect(refusal).rejects.toThrow(/are too few/)
  expect((await readFile(path)).every((byte) => byte === 7)).toBe(true)
})

it('refuses what another osflash writes to, also through a link', async () => {
  const path = await oldFile(4 * MIB)
  await symlink(path, `${path}.link`)
  await using _lock = await holdLock(path, 'unpacking')
  const refusal = openAt(`${path}.link`, { overwrite: true })
  await expect(refusal).rejects.toThrow(/another osflash is at it/)
  expect((await readFile(path)).every((byte) => byte === 7)).toBe(true)
})

it('gives the lock back', async () => {
  const path = await oldFile(4 * MIB)
  for (let turn = 0; turn < 2; turn += 1) {
    await using target = await openAt(path, { overwrite: true })
    await target.write(turn, FRAME_BYTES)
  }
  await truncate(path, MIB)
  await expect(openAt(path, { overwrite: true })).rejects.toThrow(/are too few/)
  await using _lock = await holdLock(path, 'unpacking')
})

it('is no target for what is neither file nor disk', async () => {
  const refusal = openAt('/dev/null', { overwrite: true })
  await expect(refusal).rejects.toMatchObject({ code: 'refused' })
})

const isRoot = process.getuid?.() === 0
describe.skipIf(!isRoot)(`a device${isRoot ? '' : ' (skipped: loop devices need root)'}`, () => {
  /** A loop device over a file full of sevens. */
  async function makeLoop(bytes: number): Promise<{ file: string; device: string }> {
    const file = await oldFile(bytes)
    const device = (await run(['losetup', '--find', '--show', file])).stdout.trim()
    onTestFinished(async () => {
      await run(['losetup', '--detach', device])
    })
    return { file, device }
  }

  it('is refused without a word for it, unlike by unpack, and not touched', async () => {
    const { file, device } = await makeLoop(4 * MIB)
    const refusal = openAt(device)
    await expect(refusal).rejects.toMatchObject({ code: 'refused' })
    await expect(refusal).rejects.toThrow(/would be overwritten/)
    expect((await readFile(file)).every((byte) => byte === 7)).toBe(true)
  })

  it('has no table any more afterwards, at neither end', async () => {
    const { file, device } = await makeLoop(8 * MIB)
    {
      await using target = await openAt(device, { overwrite: true })
      expect(target).toMatchObject({ kind: 'device', direct: true })
      await target.write(0, FRAME_BYTES)
      await target.sync()
    }
    await run(['sync', device])
    const bytes = await readFile(file)
    expect(bytes.subarray(0, MIB).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(-MIB).every((byte) => byte === 0)).toBe(true)
    expect(bytes.subarray(MIB, MIB + FRAME_BYTES).includes(Buffer.alloc(64, 7))).toBe(false)
    expect(bytes.subarray(MIB + FRAME_BYTES, -MIB).every((byte) => byte === 7)).toBe(true)
  })

  it('is refused while it is mounted, also with --force', async () => {
    const { file, device } = await makeLoop(8 * MIB)
    await run(['mke2fs', '-q', '-F', device])
    const place = `${file}.mnt`
    await mkdir(place)
    await run(['mount', device, place])
    try {
      const refusal = openAt(device, { overwrite: true })
      await expect(refusal).rejects.toThrow(`is mounted on ${place}`)
    } finally {
      await run(['umount', place])
    }
  })
})

describe.skipIf(!isRoot)(`little room${isRoot ? '' : ' (skipped: mounting needs root)'}`, () => {
  async function smallPlace(size: string): Promise<string> {
    const place = await scratchFolder()
    await run(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', place])
    onTestFinished(async () => {
      await run(['umount', place])
    })
    return place
  }

  it('takes no more than half of what is free', async () => {
    const place = await smallPlace('16m')
    await using target = await openAt(place)
    for (let number = 0; number < 500; number += 1) await target.write(number, FRAME_BYTES)
    await target.sync()
    const { stdout } = await run(['df', '--output=used', '--block-size=1', place])
    expect(Number(stdout.split('\n')[1])).toBeLessThanOrEqual(8 * MIB)
  })

  it('refuses a place where not even one frame fits', async () => {
    const place = await smallPlace('1m')
    await expect(openAt(place)).rejects.toThrow(/only .* are free/)
  })
})
