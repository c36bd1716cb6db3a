/**
 * What the fields of a recipe must say about each other.
 *
 * 1. Exactly one source; a `disk` source is taken as it is, so nothing may change it.
 * 2. A partition that grows is the last, and there is one root.
 * 3. What the firmware boots from is there: a BIOS boot partition (GPT), an ESP.
 * 4. A file has content or source, not both; names and mount points are there once.
 */
import type { Recipe, RecipePartition } from './schema.ts'

/** Something wrong at one path of a recipe. */
export interface Fault {
  readonly path: string
  readonly why: string
  readonly hints: readonly string[]
}

/** Everything that is wrong between the fields, in the order of the recipe. */
export function recipeFaults(recipe: Recipe): readonly Fault[] {
  return [
    ...sourceFaults(recipe),
    ...customiseFaults(recipe),
    ...(recipe.source.disk === undefined ? diskFaults(recipe) : []),
  ]
}

function* sourceFaults({ source }: Recipe): Generator<Fault> {
  const given = Object.entries(source).filter(([, value]) => value !== undefined)
  if (given.length !== 1) {
    yield fault('source', 'must be exactly one of debian, directory, tar, disk')
  }
}

function* customiseFaults({ source, customise, access }: Recipe): Generator<Fault> {
  for (const [kind, items] of Object.entries({
    files: customise.files,
    scripts: customise.scripts,
  })) {
    for (const [position, item] of items.entries()) {
      if ((item.content === undefined) === (item.source === undefined)) {
        yield fault(`customise.${kind}.${position}`, 'must have either content or source')
      }
    }
  }
  yield* repeated(
    customise.users.map(({ name }) => name),
    'customise.users',
  )
  yield* repeated(
    customise.files.map(({ path }) => path),
    'customise.files',
  )
  if (source.disk === undefined) return
  const { hostname, archives, files, users, services, scripts } = customise
  const units = [...services.enable, ...services.disable]
  const changes = [archives, files, users, units, scripts, access['root-authorized-keys']]
  const commandLine = customise['kernel-command-line']
  if (hostname !== undefined || commandLine !== '' || changes.some((list) => list.length > 0)) {
    yield fault('customise', 'a disk source is taken as it is and cannot be customised')
  }
}

function* diskFaults({ disk, firmware }: Recipe): Generator<Fault> {
  const { partitions, table } = disk
  const roles = partitions.map(({ role }) => role)
  if (roles.filter((role) => role === 'root').length !== 1) {
    yield fault('disk.partitions', 'must hold exactly one root')
  }
  if (firmware.includes('uefi') && !roles.includes('esp')) {
    yield fault('disk.partitions', 'booting under UEFI needs an esp')
  }
  if (firmware.includes('bios') && table === 'gpt' && !roles.includes('bios-boot')) {
    yield fault('disk.partitions', 'booting a GPT disk under BIOS needs a bios-boot')
  }
  if (table === 'mbr' && roles.includes('bios-boot')) {
    yield fault('disk.partitions', 'an MBR disk has no bios-boot: GRUB lies behind sector 0')
  }
  if (table === 'mbr' && partitions.length > 4) {
    yield fault('disk.partitions', 'an MBR has room for 4 partitions')
  }
  if (firmware.includes('bios') && disk['sector-size'] !== 512) {
    yield fault('disk.sector-size', 'BIOS boots from sectors of 512 bytes only')
  }
  yield* repeated(partitions.map(partitionName), 'disk.partitions')
  yield* repeated(
    partitions.flatMap((partition) => mountPoint(partition) ?? []),
    'disk.partitions',
  )
  for (const [position, partition] of partitions.entries()) {
    const path = `disk.partitions.${position}`
    yield* partitionFaults(partition, path)
    if (partition.grow && position !== partitions.length - 1) {
      yield fault(`${path}.grow`, 'only the last partition can grow')
    }
  }
}

function* partitionFaults(partition: RecipePartition, path: string): Generator<Fault> {
  const { role, size } = partition
  const kind = fileSystemOf(partition)
  if (role === 'swap' && (size === undefined || size === 'fit')) {
    yield fault(`${path}.size`, 'a swap partition needs a size')
  }
  if (role === 'esp' && kind !== 'vfat') yield fault(`${path}.file-system`, 'an esp is vfat')
  if ((role === 'swap') !== (kind === 'swap')) {
    yield fault(`${path}.file-system`, 'swap belongs to the role swap')
  }
  if (role === 'root' && kind === 'vfat') {
    yield fault(`${path}.file-system`, 'vfat cannot hold a root file system')
  }
  if (role === 'bios-boot' && partition['file-system'] !== undefined) {
    yield fault(`${path}.file-system`, 'a bios-boot holds no file system')
  }
  if ((role === 'bios-boot' || role === 'swap') && partition.mount !== undefined) {
    yield fault(`${path}.mount`, `a ${role} cannot be mounted`)
  }
  if (role === 'root' && (partition.mount ?? '/') !== '/') {
    yield fault(`${path}.mount`, 'the root is mounted at /')
  }
  const point = mountPoint(partition)
  if (role === 'other' && point !== undefined && /^\/(boot|usr|etc)?(\/|$)/.test(`${point}/`)) {
    yield fault(`${path}.mount`, `${point} must stay on the root partition`)
  }
}

function* repeated(values: readonly string[], path: string): Generator<Fault> {
  const seen = new Set<string>()
  for (const value of values) {
    if (seen.has(value)) yield fault(path, `${value} is there twice`)
    seen.add(value)
  }
}

const fault = (path: string, why: string): Fault => ({ path, why, hints: [] })

/** The name of a partition and of its payload. */
export const partitionName = ({ name, role }: RecipePartition): string => name ?? role

export type FileSystemKind = NonNullable<RecipePartition['file-system']>

/** What a partition holds; a bios-boot holds none, which is answered as `undefined`. */
export function fileSystemOf(partition: RecipePartition): FileSystemKind | undefined {
  if (partition.role === 'bios-boot') return undefined
  const defaults = { esp: 'vfat', swap: 'swap', root: 'ext4', other: 'ext4' } as const
  return partition['file-system'] ?? defaults[partition.role]
}

/** Where a partition is mounted in the new system, if anywhere. */
export function mountPoint({ role, mount }: RecipePartition): string | undefined {
  if (role === 'root') return '/'
  return mount ?? (role === 'esp' ? '/boot/efi' : undefined)
}
