/**
 * Where the partitions lie.
 *
 * 1. The first at 1 MiB, each next one at the next whole MiB, in the order of the recipe.
 * 2. The smallest disk holds all of them and the backup table, rounded up to a MiB.
 * 3. Type GUIDs are those of the UEFI specification and of GRUB; a root has the generic Linux type,
 *    so that no generator of systemd takes a staged copy for the running system's.
 *
 * Pure. Not promised: CHS geometry, extended MBR partitions.
 */
import { OsflashError } from '../../errors.ts'
import { gptReservedSectors } from '../../format/gpt.ts'
import type { DiskLayout, Partition } from '../../format/manifest.ts'
import { alignUp, formatBytes, MIB } from '../../units.ts'
import { fileSystemOf, partitionName } from '../recipe/rules.ts'
import type { Recipe, RecipePartition } from '../recipe/schema.ts'
import { parseSize } from '../recipe/size.ts'
import type { Identifiers } from './identifiers.ts'

const GPT_TYPES: Readonly<Record<RecipePartition['role'], string>> = {
  'bios-boot': '21686148-6449-6e6f-744e-656564454649',
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  root: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  other: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  swap: '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f',
}

const MBR_TYPES: Readonly<Record<RecipePartition['role'], string>> = {
  'bios-boot': 'da',
  esp: 'ef',
  root: '83',
  other: '83',
  swap: '82',
}

/** A partition of the recipe with what was made for it. */
export interface MadePartition {
  readonly recipe: RecipePartition
  readonly bytes: number
  readonly uuid: string | undefined
}

/**
 * The layout without boot code.
 * @throws OsflashError `recipe` when the partitions do not fit `disk.size`
 */
export function layoutOf(
  disk: Recipe['disk'],
  made: readonly MadePartition[],
  identifiers: Identifiers,
): DiskLayout {
  const sectorBytes = disk['sector-size']
  const partitions: Partition[] = []
  let nextByte = MIB
  for (const [position, part] of made.entries()) {
    partitions.push(partitionOf(part, { disk, identifiers, number: position + 1, at: nextByte }))
    nextByte = alignUp(nextByte + part.bytes, MIB)
  }
  const tail = disk.table === 'gpt' ? (gptReservedSectors(sectorBytes) - 1) * sectorBytes : 0
  const needed = alignUp(nextByte + tail, MIB)
  const minimumBytes = disk.size === undefined ? needed : parseSize(disk.size)
  if (minimumBytes < needed) {
    throw new OsflashError(
      'recipe',
      `laying out the disk: the partitions need ${formatBytes(needed)}, disk.size is ${disk.size}`,
      { data: { neededBytes: needed }, hints: [`--set disk.size=${needed / MIB}MiB`] },
    )
  }
  const table =
    disk.table === 'gpt'
      ? { kind: 'gpt' as const, guid: identifiers.uuid('disk') }
      : { kind: 'mbr' as const, diskId: identifiers.hex('disk', 4) }
  return { sectorBytes, minimumBytes: alignUp(minimumBytes, sectorBytes), table, partitions }
}

interface Slot {
  readonly disk: Recipe['disk']
  readonly identifiers: Identifiers
  readonly number: number
  readonly at: number
}

function partitionOf(part: MadePartition, { disk, identifiers, number, at }: Slot): Partition {
  const { recipe, bytes, uuid } = part
  const name = partitionName(recipe)
  const gpt = disk.table === 'gpt'
  const label = recipe.label === undefined ? {} : { label: recipe.label }
  return {
    number,
    name,
    type: (gpt ? GPT_TYPES : MBR_TYPES)[recipe.role],
    ...(gpt ? { guid: identifiers.uuid(`partition ${name}`) } : {}),
    firstLba: at / disk['sector-size'],
    sectors: alignUp(bytes, MIB) / disk['sector-size'],
    // The active flag: some BIOSes boot no disk without one.
    ...(!gpt && recipe.role === 'root' ? { attributes: '80' } : {}),
    grow: recipe.grow,
    fileSystem: {
      kind: fileSystemOf(recipe) ?? 'bios-boot',
      ...(uuid === undefined ? {} : { uuid }),
      ...label,
    },
  }
}
