/** Disks by what they are: identities, names of operators, and real devices read anew. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import {
  type Disk,
  identityOf,
  matchDisk,
  pickDisk,
  UNREADABLE,
} from '../../../src/flash/host/disk-identity.ts'
import {
  findDisk,
  listDisks,
  partitionPath,
  probe,
  resolveDisk,
} from '../../../src/flash/host/disks.ts'
import { GIB, MIB } from '../../../src/units.ts'

function makeDisk(name: string, more: Partial<Disk> = {}): Disk {
  const path = `/dev/${name}`
  const node = {
    name,
    path,
    type: 'disk',
    bytes: 8 * GIB,
    sectorBytes: 512,
    readOnly: false,
    children: [],
  }
  return {
    path,
    name,
    bytes: 8 * GIB,
    sectorBytes: 512,
    readOnly: false,
    serials: [`SN-${name}`],
    wwns: [],
    byId: [`virtio-SN-${name}`],
    tableId: `table-${name}`,
    tableKind: 'gpt',
    node,
    ...more,
  }
}

const refusal = (act: () => unknown): OsflashError => {
  try {
    act()
  } catch (error) {
    if (error instanceof OsflashError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('the identity of a disk', () => {
  const [a, b] = [makeDisk('sda'), makeDisk('sdb')]

  it('finds the disk again under another name', () => {
    const moved = { ...a, path: '/dev/sdc', name: 'sdc' }
    expect(matchDisk([b, moved], identityOf(a), 'check').path).toBe('/dev/sdc')
  })

  it.each<[string, Partial<Disk>]>([
    ['another serial number', { serials: ['SN-other'] }],
    ['another size', { bytes: 8 * GIB - 512 }],
    ['another sector size', { sectorBytes: 4_096 }],
    ['another partition table', { tableId: 'table-other' }],
  ])('is refused for %s', (_, change) => {
    const error = refusal(() => matchDisk([{ ...a, ...change }, b], identityOf(a), 'check'))
    expect(error.code).toBe('refused')
    expect(error.hints.join()).toContain('/dev/sda')
  })

  it('is refused for two that fit', () => {
    const twin = { ...a, path: '/dev/sdz' }
    const error = refusal(() => matchDisk([a, twin], identityOf(a), 'check'))
    expect(error.message).toBe('finding the disk SN-sda (8.00 GiB): 2 disks fit')
  })

  it('leaves the table out once it was overwritten', () => {
    const { tableId: _, tableKind: __, ...wiped } = a
    expect(matchDisk([wiped, b], identityOf(a), 'ignore')).toBe(wiped)
    expect(refusal(() => matchDisk([wiped], identityOf(a), 'check')).code).toBe('refused')
  })

  it('takes a blank disk for the same, and one that cannot be read for none', () => {
    const { tableId: _, tableKind: __, ...blank } = a
    expect(matchDisk([blank], identityOf(blank), 'check')).toBe(blank)
    const broken = { ...blank, tableKind: UNREADABLE }
    expect(refusal(() => matchDisk([broken], identityOf(blank), 'check')).code).toBe('refused')
  })

  it('needs every number that it names', () => {
    const both = { ...a, wwns: ['naa.5000c500a1b2c3d4'] }
    const other = { ...both, wwns: ['naa.5000c500a1b2c3d5'] }
    expect(refusal(() => matchDisk([other], identityOf(both), 'check')).code).toBe('refused')
  })

  it('is not made from nothing', () => {
    const error = refusal(() => identityOf({ ...a, serials: [], wwns: [] }))
    expect(error.message).toContain('neither a serial number nor a WWN')
    const nameless = { bytes: a.bytes, sectorBytes: 512, path: a.path }
    expect(refusal(() => matchDisk([a], nameless, 'ignore')).code).toBe('refused')
  })
})

describe('the disk that an operator names', () => {
  const disk = makeDisk('sda', {
    serials: ['WD-WX 12', 'WD-WX_12'],
    wwns: ['naa.5000c500A1b2c3d4'],
    byId: ['ata-WDC_WD-WX_12', 'wwn-0x5000c500a1b2c3d4'],
  })
  const disks = [disk, makeDisk('sdb')]

  it.each([
    'WD-WX 12',
    'WD-WX_12',
    '0x5000c500a1b2c3d4',
    '5000C500A1B2C3D4',
    'wwn-0x5000c500a1b2c3d4',
    'ata-WDC_WD-WX_12',
    '/dev/disk/by-id/ata-WDC_WD-WX_12',
  ])('is known by %s', (text) => {
    expect(pickDisk(disks, text)).toBe(disk)
  })

  it.each(['sda', '/dev/sda'])('is not known by %s', (text) => {
    const error = refusal(() => pickDisk(disks, text))
    expect(error.code).toBe('refused')
    expect(error.message).toContain('may mean another disk after a reboot')
    expect(error.hints).toEqual(['WD-WX 12 is /dev/sda, 8.00 GiB'])
  })

  it('is refused when nothing or too much has the number, naming what there is', () => {
    const none = refusal(() => pickDisk(disks, 'SN-9'))
    expect(none.message).toMatch(/^finding the disk SN-9: no disk has/)
    expect(none.hints).toContain('SN-sdb is /dev/sdb, 8.00 GiB')
    const twins = [disk, { ...disk, path: '/dev/sdq', name: 'sdq' }]
    expect(refusal(() => pickDisk(twins, 'WD-WX 12')).message).toContain('2 disks have it')
  })
})

it.each([
  ['/dev/sda', '/dev/sda3'],
  ['/dev/nvme0n1', '/dev/nvme0n1p3'],
  ['/dev/loop7', '/dev/loop7p3'],
])('partition 3 of %s is %s', (disk, partition) => {
  expect(partitionPath(disk, 3)).toBe(partition)
})

const canLoop = process.getuid?.() === 0

describe.skipIf(!canLoop)('a real device (needs root and loop devices)', () => {
  async function withLoop(test: (file: string, device: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'osflash-disks-'))
    const file = join(folder, 'disk')
    let device: string | undefined
    try {
      await writeFile(file, '')
      await truncate(file, 32 * MIB)
      execFileSync('sfdisk', ['-q', file], {
        input: 'label: gpt\nlabel-id: 3B1E0E54-0BF6-4B5E-9C77-5A3A4A3E1F00\n,8M\n',
      })
      device = execFileSync('losetup', ['-f', '--show', file], { encoding: 'utf8' }).trim()
      await test(file, device)
    } finally {
      if (device !== undefined) execFileSync('losetup', ['-d', device])
      await rm(folder, { recursive: true })
    }
  }

  it('is described, found and found again', async () => {
    await withLoop(async (file, device) => {
      const disk = await findDisk(file)
      expect(disk).toMatchObject({
        path: device,
        bytes: 32 * MIB,
        sectorBytes: 512,
        tableId: '3b1e0e54-0bf6-4b5e-9c77-5a3a4a3e1f00',
        tableKind: 'gpt',
      })
      expect(await resolveDisk(identityOf(disk), { tableId: 'check' })).toBe(device)
    })
  })

  it('is another one once its table was changed on the disk itself', async () => {
    await withLoop(async (file, device) => {
      const identity = identityOf(await findDisk(file))
      execFileSync('sfdisk', [
        '-q',
        '--no-reread',
        '--disk-id',
        device,
        `${'7'.repeat(8)}-7777-7777-7777-${'7'.repeat(12)}`,
      ])
      await expect(resolveDisk(identity, { tableId: 'check' })).rejects.toThrow('partition table')
      expect(await resolveDisk(identity, { tableId: 'ignore' })).toBe(device)
    })
  })

  it('tells nothing from what cannot be read', async () => {
    await withLoop(async (file) => {
      expect((await probe(file)).get('PTTYPE')).toBe('gpt')
      await truncate(file, 0)
      await truncate(file, MIB)
      expect((await probe(file)).size).toBe(0)
      await expect(probe(`${file}-absent`)).rejects.toThrow(OsflashError)
    })
  })

  it('lists no disk without bytes', async () => {
    const disks = await listDisks()
    expect(disks.filter(({ bytes }) => bytes === 0)).toEqual([])
  })
})
