/**
 * Makes every partition of a recipe as a file in the scratch folder.
 *
 * 1. A subtree that another partition is mounted over moves out of the root first.
 * 2. The root goes last, when its tree is complete.
 * 3. One maker a file system; each gives the file's size and what of it is unused.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import { byteCount, MIB } from '../../units.ts'
import { fileSystemOf, mountPoint, partitionName } from '../recipe/rules.ts'
import type { Recipe, RecipePartition } from '../recipe/schema.ts'
import { parseSize } from '../recipe/size.ts'
import { makeBtrfs } from './btrfs.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import { makeExt4 } from './ext4.ts'
import type { Identifiers } from './identifiers.ts'
import { fileSystemUuid, type PartitionFile, type PartitionJob } from './partition.ts'
import { makeSwap } from './swap.ts'
import { type FatFile, makeVfat } from './vfat.ts'
import { makeXfs } from './xfs.ts'

const BIOS_BOOT_BYTES = MIB
const ESP_BYTES = 64 * MIB

/** A partition as planned: its place in the recipe and its identifier are known. */
export interface PlannedPartition {
  readonly recipe: RecipePartition
  readonly uuid: string | undefined
}

/** A partition with its file; a bios-boot's file holds the core image alone. */
export interface BuiltPartition extends PlannedPartition, PartitionFile {
  readonly path: string
}

export function planPartitions(recipe: Recipe, identifiers: Identifiers): PlannedPartition[] {
  return recipe.disk.partitions.map((partition) => {
    const kind = fileSystemOf(partition)
    const name = partitionName(partition)
    return {
      recipe: partition,
      uuid: kind === undefined ? undefined : fileSystemUuid(kind, name, identifiers),
    }
  })
}

export interface PartitionsInput {
  readonly recipe: Recipe
  readonly root: string
  readonly identifiers: Identifiers
  readonly planned: readonly PlannedPartition[]
  readonly espFiles: readonly FatFile[]
}

/** Moves what belongs to other partitions out of the root; their trees by partition name. */
export async function splitTrees(
  planned: readonly PlannedPartition[],
  root: string,
  context: BuildContext,
): Promise<ReadonlyMap<string, string>> {
  const trees = new Map([[partitionNameOfRoot(planned), root]])
  const others = planned
    .filter(({ recipe }) => recipe.role === 'other' && recipe['file-system'] !== 'vfat')
    .map(({ recipe }) => ({ name: partitionName(recipe), point: mountPoint(recipe) }))
    .toSorted((a, b) => (b.point?.length ?? 0) - (a.point?.length ?? 0))
  for (const { name, point } of others) {
    if (point === undefined || !(await existsInside(root, point))) continue
    const from = await insideRoot(root, point)
    const tree = join(context.scratch, `tree-${name}`)
    await runAsOwner(context, ['mv', '--no-target-directory', from, tree])
    await runAsOwner(context, ['mkdir', '-m', '755', from])
    await runAsOwner(context, ['touch', '-d', `@${context.sourceDateEpoch}`, from])
    trees.set(name, tree)
  }
  return trees
}

const partitionNameOfRoot = (planned: readonly PlannedPartition[]): string =>
  planned
    .map(({ recipe }) => recipe)
    .filter(({ role }) => role === 'root')
    .map(partitionName)[0] ?? 'root'

/** In the order of the recipe. @throws OsflashError `process`, `refused`, `recipe` */
export async function makePartitions(
  input: PartitionsInput,
  trees: ReadonlyMap<string, string>,
  context: BuildContext,
): Promise<BuiltPartition[]> {
  const built: BuiltPartition[] = []
  for (const plan of input.planned) {
    const name = partitionName(plan.recipe)
    const path = join(context.scratch, `${name}.partition`)
    const file = await inPhase(context.emit, `making partition ${name}`, () =>
      makeOne({ ...input, plan, path, tree: trees.get(name) }, context),
    )
    built.push({ ...plan, ...file, path })
  }
  return built
}

interface OneInput extends PartitionsInput {
  readonly plan: PlannedPartition
  readonly path: string
  readonly tree: string | undefined
}

async function makeOne(input: OneInput, context: BuildContext): Promise<PartitionFile> {
  const { plan, path, tree, identifiers, espFiles } = input
  const { recipe: partition, uuid } = plan
  const kind = fileSystemOf(partition)
  if (kind === undefined || uuid === undefined) {
    await writeFile(path, '')
    return { bytes: sizeOf(partition) ?? byteCount(BIOS_BOOT_BYTES), unused: [] }
  }
  const job: PartitionJob = {
    path,
    name: partitionName(partition),
    uuid,
    label: partition.label,
    identifiers,
    sectorBytes: input.recipe.disk['sector-size'],
    size: sizeOf(partition) ?? (partition.role === 'esp' ? byteCount(ESP_BYTES) : 'fit'),
    tree,
  }
  if (job.size !== 'fit' && job.size % MIB !== 0) {
    throw new OsflashError('recipe', `making ${job.name}: the size is no whole number of MiB`)
  }
  const files = partition.role === 'esp' ? espFiles : []
  const makers = {
    ext4: () => makeExt4(job, context),
    xfs: () => makeXfs(job, context),
    btrfs: () => makeBtrfs(job, context),
    vfat: () => makeVfat(job, files, context),
    swap: () => makeSwap(job, context),
  }
  return makers[kind]()
}

function sizeOf({ size }: RecipePartition) {
  return size === undefined || size === 'fit' ? undefined : parseSize(size)
}
