/** Targets: a new file, a file that exists, a block device (as root), and the fake. */
import { constants } from 'node:fs'
import { mkdir, open, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { describeBlockDevice } from '../../src/system/block-device.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { lookAtTarget, openTarget, type Target } from '../../src/unpack/target.ts'
import { makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { differences, gptLayout, packDisk, partition, unpackTest } from './disk-fixtures.ts'
import { fakeTarget } from './fake-target.ts'
import { targetContract } from './target-contract.ts'

const BYTES = 32 * MIB

async function openAt(path: string, overwrite: boolean, resume = false): Promise<Target> {
  const options = { path, fileBytes: BYTES, leastBytes: BYTES, overwrite, resume }
  return openTarget(options, await lookAtTarget(options), resume)
}

/** A target that takes something else with it when it is closed. */
function owning(target: Target, ...owned: AsyncDisposable[]): Target {
  return {
    ...target,
    [Symbol.asyncDispose]: async () => {
      await target[Symbol.asyncDispose]()
      for (const one of owned) await one[Symbol.asyncDispose]()
    },
  }
}

async function oldFile(scratch: Scratch, bytes = BYTES): Promise<string> {
  const path = join(scratch.path, 'disk.img')
  await writeFile(path, Buffer.alloc(bytes, 0xee))
  return path
}

interface Loop extends AsyncDisposable {
  readonly device: string
}

/** A loop device over a file, always detached again. */
async function makeLoop(file: string, sectorBytes = 512): Promise<Loop> {
  const sector = ['--sector-size', String(sectorBytes)]
  const device = (await run(['losetup', '--find', '--show', ...sector, file])).stdout.trim()
  const detach = async (): Promise<void> => {
    await run(['losetup', '--detach', device])
  }
  return { device, [Symbol.asyncDispose]: detach }
}

const loops = process.getuid?.() === 0
const asRoot = describe.skipIf(!loops)

describe('the fake, blank', () => targetContract(async () => fakeTarget(BYTES, true)))
describe('the fake, used', () => targetContract(async () => fakeTarget(BYTES, false)))

describe('a new file', () => {
  targetContract(async () => {
    const scratch = await makeScratch('target')
    return owning(await openAt(join(scratch.path, 'disk.img'), false), scratch)
  })

  it('has another name until it is published', async () => {
    await using scratch = await makeScratch('target')
    const path = join(scratch.path, 'disk.img')
    await using target = await openAt(path, false)
    expect(await readdir(scratch.path)).toEqual(['disk.img.partial'])
    await target.publish()
    expect(await readdir(scratch.path)).toEqual(['disk.img'])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('does not replace a file that came meanwhile', async () => {
    await using scratch = await makeScratch('target')
    const path = join(scratch.path, 'disk.img')
    await using target = await openAt(path, false)
    await writeFile(path, 'mine')
    await expect(target.publish()).rejects.toMatchObject({ code: 'io' })
    expect((await stat(path)).size).toBe(4)
  })

  it('keeps what an earlier run wrote only when told to go on', async () => {
    await using scratch = await makeScratch('target')
    const path = join(scratch.path, 'disk.img')
    const first = async (resume: boolean): Promise<number> => {
      await using target = await openAt(path, false, resume)
      const seen = Buffer.alloc(1)
      await target.read(5_000, seen)
      await target.write(5_000, Buffer.of(7))
      return seen.readUInt8(0)
    }
    expect([await first(false), await first(true), await first(false)]).toEqual([0, 7, 0])
  })

  it.each([
    ['in a folder that is not there', 'no/disk.img', BYTES],
    ['of more bytes than a file can have', 'disk.img', 2 ** 53 - 1],
  ])('fails %s with one line', async (_, name, fileBytes) => {
    await using scratch = await makeScratch('target')
    const path = join(scratch.path, name)
    const options = { path, fileBytes, leastBytes: 1, overwrite: false, resume: false }
    const opening = lookAtTarget(options).then((place) => openTarget(options, place, false))
    await expect(opening).rejects.toMatchObject({ code: 'io' })
    await expect(opening).rejects.toThrow(/^(opening|resizing) /)
  })
})

describe('a file that exists', () => {
  targetContract(async () => {
    const scratch = await makeScratch('target')
    return owning(await openAt(await oldFile(scratch), true), scratch)
  })

  it('is refused unless it may be overwritten; a folder always', async () => {
    await using scratch = await makeScratch('target')
    const path = await oldFile(scratch, 10)
    await expect(openAt(path, false)).rejects.toMatchObject({ code: 'refused' })
    await mkdir(join(scratch.path, 'folder'))
    const folder = openAt(join(scratch.path, 'folder'), true)
    await expect(folder).rejects.toMatchObject({ code: 'refused' })
  })
})

asRoot(`a block device${loops ? '' : ' (skipped: loop devices need root)'}`, () => {
  targetContract(async () => {
    const scratch = await makeScratch('target')
    const loop = await makeLoop(await oldFile(scratch))
    return owning(await openAt(loop.device, true), loop, scratch)
  })

  it.each([512, 4_096])('is described, with sectors of %i bytes', async (sectorBytes) => {
    await using scratch = await makeScratch('target')
    await using loop = await makeLoop(await oldFile(scratch), sectorBytes)
    const device = await describeBlockDevice(loop.device)
    expect(device).toMatchObject({ path: loop.device, bytes: BYTES, sectorBytes, users: [] })
    expect(await describeBlockDevice(scratch.path)).toBeUndefined()
  })

  it('is refused while another program holds it, and not touched', async () => {
    await using scratch = await makeScratch('target')
    await using loop = await makeLoop(await oldFile(scratch))
    await using holder = await open(loop.device, constants.O_RDWR | constants.O_EXCL)
    const refusal = openAt(loop.device, true)
    await expect(refusal).rejects.toMatchObject({ code: 'refused' })
    await expect(refusal).rejects.toThrow(/it is in use/)
    await holder.sync()
  })

  it('is refused while it is mounted, and says where', async () => {
    await using scratch = await makeScratch('target')
    const file = await oldFile(scratch)
    await run(['mke2fs', '-q', '-F', file])
    await using loop = await makeLoop(file)
    const place = join(scratch.path, 'mnt')
    await mkdir(place)
    await run(['mount', loop.device, place])
    try {
      await expect(openAt(loop.device, true)).rejects.toThrow(`is mounted on ${place}`)
    } finally {
      await run(['umount', place])
    }
  })

  it('takes an image, after everything old at its ends is gone', async () => {
    const keys: TestKeys = await makeKeys()
    await using scratch = await makeScratch('target')
    const image = await packDisk({ folder: scratch.path }, keys)
    const file = await oldFile(scratch)
    await using loop = await makeLoop(file)
    const checkpointPath = join(scratch.path, 'checkpoint')
    await unpackTest({ image, keys, to: loop.device, verify: true, checkpointPath })
    const disk = Buffer.alloc(BYTES)
    await using device = await open(loop.device, 'r')
    await device.read(disk, 0, BYTES, 0)
    expect(differences(disk)).toEqual([])
    expect((await run(['sgdisk', '-v', loop.device])).stdout).toContain('No problems found')
  })

  it('takes an image for sectors of 4,096 bytes', async () => {
    const keys: TestKeys = await makeKeys()
    await using scratch = await makeScratch('target')
    const wide = {
      ...gptLayout(),
      sectorBytes: 4_096 as const,
      partitions: [{ ...partition(1, 1_024, 2_048), grow: true }],
    }
    const regions = [{ name: 'root', offset: 4 * MIB, raw: noise(2 * MIB + 512, 1) }]
    const image = await packDisk({ folder: scratch.path, disk: wide, regions }, keys)
    await using loop = await makeLoop(await oldFile(scratch), 4_096)
    const checkpointPath = join(scratch.path, 'checkpoint')
    await unpackTest({ image, keys, to: loop.device, verify: true, checkpointPath })
    expect((await run(['sgdisk', '-v', loop.device])).stdout).toContain('No problems found')
    const { partitiontable } = JSON.parse((await run(['sfdisk', '--json', loop.device])).stdout)
    // It ends at the last MiB that the backup table leaves.
    expect(partitiontable.partitions).toMatchObject([{ start: 1_024, size: 31 * 256 - 1_024 }])
  })

  it('is refused when its sectors are not the image’s', async () => {
    const keys: TestKeys = await makeKeys()
    await using scratch = await makeScratch('target')
    const image = await packDisk({ folder: scratch.path }, keys)
    await using loop = await makeLoop(await oldFile(scratch), 4_096)
    const checkpointPath = join(scratch.path, 'checkpoint')
    const refusal = unpackTest({ image, keys, to: loop.device, checkpointPath })
    await expect(refusal).rejects.toThrow(/sectors of 4096 bytes, the image 512/)
    await using device = await open(loop.device, 'r')
    const { buffer } = await device.read(Buffer.alloc(4_096), 0, 4_096, 0)
    expect(buffer.equals(Buffer.alloc(4_096, 0xee))).toBe(true)
  })
})

describe.runIf(loops)('a file system without room', () => {
  let keys: TestKeys
  beforeAll(async () => {
    keys = await makeKeys()
  })

  it('ends in one line that says where, and gives no disk', async () => {
    await using scratch = await makeScratch('target')
    const image = await packDisk({ folder: scratch.path }, keys)
    const place = join(scratch.path, 'small')
    await mkdir(place)
    await run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', place])
    try {
      const checkpointPath = join(scratch.path, 'checkpoint')
      const full = unpackTest({ image, keys, to: join(place, 'disk.img'), checkpointPath })
      await expect(full).rejects.toMatchObject({ code: 'io', data: { errno: 'ENOSPC' } })
      await expect(full).rejects.toThrow(/writing .*disk\.img\.partial at byte \d+: no space left/)
      expect(await readdir(place)).toEqual(['disk.img.partial'])
    } finally {
      await run(['umount', place])
    }
  })
})
