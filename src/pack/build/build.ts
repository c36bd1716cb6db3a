/**
 * From a recipe to what an image is packed from.
 *
 * 1. Root file system: packages, tarball or folder; customised; tidied.
 * 2. GRUB for the firmware of the recipe; fstab and grub.cfg.
 * 3. One file a partition, the layout around them.
 * 4. The root's folder is removed; the partition files stay in the scratch folder for the packer.
 *
 * Not promised: anything after the scratch folder is gone.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import type { BootEntry, DiskLayout, OperatingSystem } from '../../format/manifest.ts'
import { byteCount, byteOffset, MIB } from '../../units.ts'
import type { LoadedRecipe } from '../recipe/load.ts'
import { partitionName } from '../recipe/rules.ts'
import type { Recipe } from '../recipe/schema.ts'
import type { ImageSource, PayloadSource } from '../source.ts'
import { type BootPlan, bootFiles, planBoot } from './boot-files.ts'
import { type BuildContext, isRootless, runAsOwner } from './context.ts'
import { customiseRoot } from './customise.ts'
import { type BiosBoot, makeBiosBoot, makeEfiProgram } from './grub.ts'
import { earlyConfig } from './grub-config.ts'
import { type Identifiers, identifiersFor } from './identifiers.ts'
import { importDisk } from './import-disk.ts'
import { layoutOf } from './layout.ts'
import { addToRoot } from './overlay.ts'
import {
  type BuiltPartition,
  makePartitions,
  type PlannedPartition,
  planPartitions,
  splitTrees,
} from './partitions.ts'
import { makeRootTree } from './root-tree.ts'
import { tidyRoot } from './tidy.ts'
import type { FatFile } from './vfat.ts'

/**
 * Builds what the recipe describes; its files lie in `context.scratch`.
 * @throws OsflashError `recipe`, `refused`, `missing-tool`, `process`, `io`, `cancelled`
 */
export async function buildSource(
  { recipe, content }: LoadedRecipe,
  context: BuildContext,
): Promise<ImageSource> {
  if (recipe.source.disk !== undefined)
    return importDisk(recipe.source.disk, described(recipe), context)
  const identifiers = identifiersFor(recipe.name, content)
  const planned = planPartitions(recipe, identifiers)
  const rootUuid = planned.find((part) => part.recipe.role === 'root')?.uuid ?? ''
  try {
    const root = await makeRootTree(recipe, context)
    await customiseRoot(recipe, root, context)
    const plan = await planBoot(recipe, root, rootUuid)
    await addToRoot(root, bootFiles(recipe, plan, planned), context)
    const grub = await makeGrub(recipe, { root, rootUuid }, context)
    await tidyRoot(root, context)
    const trees = await splitTrees(planned, root, context)
    const espFiles = grub.espFiles
    const built = await makePartitions(
      { recipe, root, identifiers, planned, espFiles },
      trees,
      context,
    )
    return await assemble({ recipe, plan, built, identifiers, bios: grub.bios }, context)
  } finally {
    await removeTrees(planned, context)
  }
}

interface Grub {
  readonly bios: BiosBoot | undefined
  readonly espFiles: readonly FatFile[]
}

const CORE_LBA_MBR = 1
const EFI_PROGRAM_PATH = '/EFI/BOOT/BOOTX64.EFI'

async function makeGrub(
  { firmware, disk }: Recipe,
  { root, rootUuid }: { readonly root: string; readonly rootUuid: string },
  context: BuildContext,
): Promise<Grub> {
  const request = { root, earlyConfig: earlyConfig(rootUuid) }
  return inPhase(context.emit, 'making the boot loader', async () => {
    const bios = firmware.includes('bios')
      ? await makeBiosBoot(request, coreLba(disk), context)
      : undefined
    const espFiles = firmware.includes('uefi')
      ? [{ path: EFI_PROGRAM_PATH, from: await makeEfiProgram(request, context) }]
      : []
    return { bios, espFiles }
  })
}

/** Where the core image lies: in the BIOS boot partition, or in the gap behind an MBR. */
function coreLba({ table, partitions }: Recipe['disk']): number {
  if (table === 'mbr') return CORE_LBA_MBR
  const position = partitions.findIndex(({ role }) => role === 'bios-boot')
  if (position !== 0) {
    throw new OsflashError(
      'recipe',
      'laying out the disk: the bios-boot must be the first partition',
    )
  }
  return MIB / 512
}

interface Parts {
  readonly recipe: Recipe
  readonly plan: BootPlan
  readonly built: readonly BuiltPartition[]
  readonly identifiers: Identifiers
  readonly bios: BiosBoot | undefined
}

async function assemble(parts: Parts, context: BuildContext): Promise<ImageSource> {
  const { recipe, plan, built, identifiers, bios } = parts
  const layout = layoutOf(recipe.disk, built, identifiers)
  const core = bios === undefined ? [] : [await corePayload(bios, layout, context)]
  const partitions = built.flatMap((part, position) =>
    part.recipe.role === 'bios-boot' ? [] : [partitionPayload(part, position, layout)],
  )
  const boot = bootEntry(recipe, plan)
  return {
    ...described(recipe),
    created: new Date(context.sourceDateEpoch * 1000).toISOString(),
    ...(boot === undefined ? {} : { boot }),
    disk: bios === undefined ? layout : withBootCode(layout, bios.bootCode),
    payloads: [...core, ...partitions],
  }
}

/** What the recipe says about the image, whatever is in it. */
function described(recipe: Recipe) {
  return {
    name: recipe.name,
    sequence: recipe.sequence,
    ...(recipe.expires === undefined ? {} : { expires: recipe.expires }),
    os: operatingSystem(recipe),
    architecture: recipe.architecture,
    firmware: [...recipe.firmware],
  }
}

async function corePayload(
  { core }: BiosBoot,
  layout: DiskLayout,
  context: BuildContext,
): Promise<PayloadSource> {
  const first = layout.table.kind === 'mbr' ? CORE_LBA_MBR : MIB / 512
  const room = layout.table.kind === 'mbr' ? MIB - 512 : (layout.partitions[0]?.sectors ?? 0) * 512
  if (core.length > room) {
    throw new OsflashError('recipe', `placing GRUB: ${core.length} bytes do not fit ${room}`, {
      hints: ['make the bios-boot larger'],
    })
  }
  const path = join(context.scratch, 'grub-core.payload')
  await writeFile(path, core)
  return {
    name: 'bios-boot',
    place: { kind: 'region', offsetBytes: first * 512 },
    path,
    range: { offset: byteOffset(0), length: byteCount(core.length) },
    unused: [],
  }
}

function partitionPayload(
  part: BuiltPartition,
  position: number,
  layout: DiskLayout,
): PayloadSource {
  const firstLba = layout.partitions[position]?.firstLba ?? 0
  return {
    name: partitionName(part.recipe),
    place: { kind: 'region', offsetBytes: firstLba * layout.sectorBytes },
    path: part.path,
    range: { offset: byteOffset(0), length: part.bytes },
    unused: part.unused,
  }
}

function withBootCode(layout: DiskLayout, bootCode: Uint8Array): DiskLayout {
  const text = Buffer.from(bootCode).toString('base64')
  const { table } = layout
  return table.kind === 'none' ? layout : { ...layout, table: { ...table, bootCode: text } }
}

function bootEntry(recipe: Recipe, { kernels, commandLine }: BootPlan): BootEntry | undefined {
  const [newest] = kernels
  if (newest === undefined) return undefined
  return {
    rootPartition: recipe.disk.partitions.findIndex(({ role }) => role === 'root') + 1,
    kernel: newest.kernel,
    ...(newest.initrd === undefined ? {} : { initrd: newest.initrd }),
    commandLine,
  }
}

function operatingSystem({ os }: Recipe): OperatingSystem {
  const { family, id, version, title, network } = os
  return {
    family,
    ...(id === undefined ? {} : { id }),
    ...(version === undefined ? {} : { version }),
    ...(title === undefined ? {} : { title }),
    ...(network === undefined ? {} : { network }),
  }
}

/** Also after a failure; files of other owners can be removed only the way they were made. */
async function removeTrees(
  planned: readonly PlannedPartition[],
  context: BuildContext,
): Promise<void> {
  const names = ['root', ...planned.map(({ recipe }) => `tree-${partitionName(recipe)}`)]
  const folders = names.map((name) => join(context.scratch, name))
  if (isRootless()) {
    await runAsOwner({ ...context, signal: undefined }, ['rm', '-rf', '--', ...folders])
    return
  }
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
}
