/** What lies on real devices, asked of the devices. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readContents } from '../../../src/flash/host/contents.ts'
import { findDisk } from '../../../src/flash/host/disks.ts'
import { readMounts } from '../../../src/flash/host/mounts.ts'
import { MIB } from '../../../src/units.ts'

const canLoop = process.getuid?.() === 0
const UUID = '11111111-2222-4333-8444-555555555555'

describe.skipIf(!canLoop)('the contents of a device (needs root and loop devices)', () => {
  let folder = ''
  let file = ''
  let device = ''

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'osflash-contents-'))
    file = join(folder, 'disk')
    await writeFile(file, '')
    await truncate(file, 16 * MIB)
    device = execFileSync('losetup', ['-f', '--show', file], { encoding: 'utf8' }).trim()
  })
  afterEach(async () => {
    execFileSync('losetup', ['-d', device])
    await rm(folder, { recursive: true })
  })

  const contents = async (known: { fstab?: string; swaps?: string[] } = {}) => {
    const fstab = known.fstab === undefined ? [] : [{ source: known.fstab, point: '/data' }]
    return readContents(await findDisk(file), {
      mounts: await readMounts(),
      fstab: fstab.map((line) => ({ ...line, fileSystem: 'ext4' })),
      swaps: known.swaps ?? [],
    })
  }
  const makeExt4 = () => {
    execFileSync('mkfs.ext4', ['-q', '-F', '-L', 'data', '-U', UUID, device])
  }

  it('are nothing on zeros, and data on anything else', async () => {
    expect(await contents()).toMatchObject({ isBlank: true, hasTable: false, children: [] })
    execFileSync('dd', ['if=/dev/urandom', `of=${device}`, 'bs=4k', 'count=1', 'seek=9'], {
      stdio: 'ignore',
    })
    const found = await contents()
    expect(found.isBlank).toBe(false)
    expect(found).not.toHaveProperty('content')
  })

  it('are a file system, and where fstab puts it', async () => {
    makeExt4()
    expect(await contents()).toMatchObject({
      path: device,
      content: 'ext4',
      label: 'data',
      uuid: UUID,
      mountPoints: [],
      isSwap: false,
      otherDisks: [],
    })
    for (const source of [`UUID=${UUID.toUpperCase()}`, 'LABEL=data', device]) {
      expect((await contents({ fstab: source })).fstabPoint).toBe('/data')
    }
    expect(await contents({ fstab: 'LABEL=other' })).not.toHaveProperty('fstabPoint')
  })

  it('are where they are mounted', async () => {
    makeExt4()
    const point = join(folder, 'point')
    await mkdir(point)
    execFileSync('mount', [device, point])
    try {
      expect((await contents()).mountPoints).toEqual([point])
    } finally {
      execFileSync('umount', [point])
    }
  })

  it('are a table without partitions', async () => {
    execFileSync('sfdisk', ['-q', '--no-reread', device], { input: 'label: gpt\n' })
    const found = { hasTable: true, isBlank: false, hidesPartitions: false }
    expect(await contents()).toMatchObject(found)
  })

  // The kernel does not look for partitions on a loop device.
  it.each([
    { name: 'which the kernel does not show', lost: [] },
    { name: 'whose primary GPT is damaged', lost: [1] },
    { name: 'of which only the protective MBR is left', lost: [1, 32_767] },
  ])('are a table with partitions $name', async ({ lost }) => {
    const table = 'label: gpt\n1MiB,4MiB\n'
    execFileSync('sfdisk', ['-q', '--no-reread', device], { input: table })
    for (const sector of lost) {
      const where = [`of=${device}`, `seek=${sector}`]
      execFileSync('dd', ['if=/dev/zero', 'bs=512', 'count=1', 'status=none', ...where])
    }
    const found = { hasTable: true, children: [], hidesPartitions: true }
    expect(await contents()).toMatchObject(found)
  })

  it('are swap, active or not', async () => {
    execFileSync('mkswap', ['-q', device])
    expect((await contents()).isSwap).toBe(true)
  })
})
