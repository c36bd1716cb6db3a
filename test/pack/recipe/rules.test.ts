import { expect, test } from 'vitest'
import {
  fileSystemOf,
  mountPoint,
  partitionName,
  recipeFaults,
} from '../../../src/pack/recipe/rules.ts'
import { recipeSchema } from '../../../src/pack/recipe/schema.ts'

const SERVER = { name: 'a', source: { directory: '/tree' } }

function faultsOf(more: Readonly<Record<string, unknown>>): string[] {
  const recipe = recipeSchema.parse({ ...SERVER, ...more })
  return recipeFaults(recipe).map(({ path, why }) => `${path}: ${why}`)
}

const disk = (partitions: readonly object[], more: object = {}) => ({
  firmware: [],
  disk: { partitions, ...more },
})

test('a recipe of defaults has no faults', () => {
  expect(faultsOf({})).toEqual([])
})

test.each<readonly [string, Readonly<Record<string, unknown>>, readonly string[]]>([
  ['no source', { source: {} }, ['source: must be exactly one of debian, directory, tar, disk']],
  [
    'two sources',
    { source: { tar: 'a', disk: 'b' } },
    ['source: must be exactly one of debian, directory, tar, disk'],
  ],
  [
    'a file with content and source',
    { customise: { files: [{ path: '/a', content: '', source: 'b' }] } },
    ['customise.files.0: must have either content or source'],
  ],
  [
    'a script with neither',
    { customise: { scripts: [{}] } },
    ['customise.scripts.0: must have either content or source'],
  ],
  [
    'a file that is there twice',
    {
      customise: {
        files: [
          { path: '/a', content: '' },
          { path: '/a', content: 'b' },
        ],
      },
    },
    ['customise.files: /a is there twice'],
  ],
  [
    'a user that is there twice',
    { customise: { users: [{ name: 'ada' }, { name: 'ada' }] } },
    ['customise.users: ada is there twice'],
  ],
  [
    'a disk that would be customised',
    { source: { disk: 'a' }, customise: { hostname: 'a' } },
    ['customise: a disk source is taken as it is and cannot be customised'],
  ],
  [
    'a disk that would get keys',
    { source: { disk: 'a' }, access: { 'root-authorized-keys': ['ssh-ed25519 A'] } },
    ['customise: a disk source is taken as it is and cannot be customised'],
  ],
  ['no root', disk([{ role: 'esp' }]), ['disk.partitions: must hold exactly one root']],
  [
    'two roots',
    disk([{ role: 'root' }, { role: 'root', name: 'b' }]),
    ['disk.partitions: must hold exactly one root', 'disk.partitions: / is there twice'],
  ],
  [
    'UEFI without an ESP',
    { firmware: ['uefi'], disk: { partitions: [{ role: 'root' }] } },
    ['disk.partitions: booting under UEFI needs an esp'],
  ],
  [
    'BIOS on a GPT without a bios-boot',
    { firmware: ['bios'], disk: { partitions: [{ role: 'root' }] } },
    ['disk.partitions: booting a GPT disk under BIOS needs a bios-boot'],
  ],
  [
    'a bios-boot on an MBR',
    disk([{ role: 'bios-boot' }, { role: 'root' }], { table: 'mbr' }),
    ['disk.partitions: an MBR disk has no bios-boot: GRUB lies behind sector 0'],
  ],
  [
    'five partitions on an MBR',
    disk(
      [
        { role: 'root' },
        ...['a', 'b', 'c', 'd'].map((name) => ({ role: 'swap', name, size: '1MiB' })),
      ],
      { table: 'mbr' },
    ),
    ['disk.partitions: an MBR has room for 4 partitions'],
  ],
  [
    'BIOS with large sectors',
    { disk: { 'sector-size': 4096 } },
    ['disk.sector-size: BIOS boots from sectors of 512 bytes only'],
  ],
  [
    'two partitions of one name',
    disk([{ role: 'swap', size: '1MiB' }, { role: 'swap', size: '1MiB' }, { role: 'root' }]),
    ['disk.partitions: swap is there twice'],
  ],
  [
    'two partitions at one mount point',
    disk([
      { role: 'other', name: 'a', mount: '/srv' },
      { role: 'other', name: 'b', mount: '/srv' },
      { role: 'root' },
    ]),
    ['disk.partitions: /srv is there twice'],
  ],
  [
    'a partition that grows before the last',
    disk([
      { role: 'root', grow: true },
      { role: 'swap', size: '1MiB' },
    ]),
    ['disk.partitions.0.grow: only the last partition can grow'],
  ],
  [
    'swap without a size',
    disk([{ role: 'swap' }, { role: 'root' }]),
    ['disk.partitions.0.size: a swap partition needs a size'],
  ],
  [
    'swap that fits',
    disk([{ role: 'swap', size: 'fit' }, { role: 'root' }]),
    ['disk.partitions.0.size: a swap partition needs a size'],
  ],
  [
    'an ESP that is ext4',
    disk([{ role: 'esp', 'file-system': 'ext4' }, { role: 'root' }]),
    ['disk.partitions.0.file-system: an esp is vfat'],
  ],
  [
    'a root that is swap',
    disk([{ role: 'root', 'file-system': 'swap' }]),
    ['disk.partitions.0.file-system: swap belongs to the role swap'],
  ],
  [
    'a root that is vfat',
    disk([{ role: 'root', 'file-system': 'vfat' }]),
    ['disk.partitions.0.file-system: vfat cannot hold a root file system'],
  ],
  [
    'a bios-boot with a file system',
    disk([{ role: 'bios-boot', 'file-system': 'ext4' }, { role: 'root' }]),
    ['disk.partitions.0.file-system: a bios-boot holds no file system'],
  ],
  [
    'a bios-boot that is mounted',
    disk([{ role: 'bios-boot', mount: '/x' }, { role: 'root' }]),
    ['disk.partitions.0.mount: a bios-boot cannot be mounted'],
  ],
  [
    'a root that is mounted elsewhere',
    disk([{ role: 'root', mount: '/x' }]),
    ['disk.partitions.0.mount: the root is mounted at /'],
  ],
  ...['/boot', '/usr', '/etc', '/usr/share'].map(
    (mount) =>
      [
        `${mount} apart from the root`,
        disk([{ role: 'other', mount }, { role: 'root' }]),
        [`disk.partitions.0.mount: ${mount} must stay on the root partition`],
      ] as const,
  ),
])('%s is a fault', (_what, more, faults) => {
  expect(faultsOf(more)).toEqual(faults)
})

test.each([
  disk([
    { role: 'other', mount: '/srv' },
    { role: 'other', name: 'b', mount: '/bootleg' },
    { role: 'root' },
  ]),
  disk([{ role: 'root' }], { table: 'mbr' }),
  disk([{ role: 'root' }, { role: 'swap', size: '64MiB', grow: true }]),
  { source: { disk: 'a' } },
  { source: { disk: 'a' }, disk: { partitions: [{ role: 'esp' }] } },
])('%j has no faults', (more) => {
  expect(faultsOf(more)).toEqual([])
})

test('roles have their names, file systems and mount points', () => {
  const roles = ['bios-boot', 'esp', 'root', 'swap', 'other'] as const
  const seen = roles.map((role) => {
    const partition = { role, grow: false }
    return [partitionName(partition), fileSystemOf(partition), mountPoint(partition)]
  })
  expect(seen).toEqual([
    ['bios-boot', undefined, undefined],
    ['esp', 'vfat', '/boot/efi'],
    ['root', 'ext4', '/'],
    ['swap', 'swap', undefined],
    ['other', 'ext4', undefined],
  ])
})
