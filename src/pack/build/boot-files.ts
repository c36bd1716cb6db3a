/**
 * What the new system needs on its root to start: fstab, grub.cfg, settings for later kernels.
 *
 * 1. Kernels are those in /boot; the command line is root=UUID=…, ro, consoles, the recipe's own.
 * 2. A partition that grows gets `x-systemd.growfs`: the running system enlarges the file system,
 *    so the writer of the disk needs no tools for it.
 * 3. The ESP is `nofail`: a server must come up without it.
 */
import { readdir } from 'node:fs/promises'
import { OsflashError } from '../../errors.ts'
import { emptyGrubEnvironment } from '../../format/grub-environment.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import { fileSystemOf, mountPoint, partitionName } from '../recipe/rules.ts'
import type { Recipe, RecipePartition } from '../recipe/schema.ts'
import { grubConfig, grubDefaults, type Kernel, kernelsOf } from './grub-config.ts'
import { type OverlayEntry, rootFile } from './overlay.ts'

/** How the new system starts. */
export interface BootPlan {
  readonly kernels: readonly Kernel[]
  readonly commandLine: string
}

const CONSOLES = 'console=tty0 console=ttyS0,115200'

/** @throws OsflashError `refused` when firmware is to boot a root without a kernel */
export async function planBoot(recipe: Recipe, root: string, rootUuid: string): Promise<BootPlan> {
  const hasBoot = await existsInside(root, '/boot')
  const kernels = kernelsOf(hasBoot ? await readdir(await insideRoot(root, '/boot')) : [])
  if (kernels.length === 0 && recipe.firmware.length > 0) {
    throw new OsflashError('refused', 'preparing to boot: the new root has no kernel in /boot', {
      hints: ['add linux-image-amd64 to source.debian.packages', 'or set firmware: []'],
    })
  }
  return { kernels, commandLine: `root=UUID=${rootUuid} ro ${extraCommandLine(recipe)}` }
}

function extraCommandLine({ customise }: Recipe): string {
  return [CONSOLES, customise['kernel-command-line']].filter((part) => part !== '').join(' ')
}

export interface MountedPartition {
  readonly recipe: RecipePartition
  readonly uuid: string | undefined
}

/** The files that the plan and the partitions put on the root. */
export function bootFiles(
  recipe: Recipe,
  plan: BootPlan,
  partitions: readonly MountedPartition[],
): readonly OverlayEntry[] {
  const rootUuid = partitions.find((part) => part.recipe.role === 'root')?.uuid ?? ''
  const { commandLine, kernels } = plan
  const title = recipe.os.title ?? recipe.name
  const points = partitions.flatMap(({ recipe: part }) => mountPoint(part) ?? [])
  return [
    rootFile('/etc/fstab', fstab(partitions)),
    ...points.filter((point) => point !== '/').map(folder),
    ...(kernels.length === 0
      ? []
      : [
          rootFile('/boot/grub/grub.cfg', grubConfig({ title, rootUuid, commandLine, kernels })),
          // GRUB writes into it, but cannot make it.
          rootFile('/boot/grub/grubenv', Buffer.from(emptyGrubEnvironment()).toString('latin1')),
          rootFile('/etc/default/grub.d/osflash.cfg', grubDefaults(extraCommandLine(recipe))),
        ]),
  ]
}

const folder = (path: string): OverlayEntry => ({
  path,
  mode: 0o755,
  uid: 0,
  gid: 0,
  body: { kind: 'folder' },
})

function fstab(partitions: readonly MountedPartition[]): string {
  const rows = partitions.flatMap(({ recipe, uuid }) => {
    const kind = fileSystemOf(recipe)
    const point = kind === 'swap' ? 'none' : mountPoint(recipe)
    if (kind === undefined || uuid === undefined || point === undefined) return []
    const pass = point === '/' ? 1 : kind === 'ext4' || kind === 'vfat' ? 2 : 0
    return [`UUID=${uuid} ${point} ${kind} ${mountOptions(recipe, kind)} 0 ${pass}`]
  })
  return `# Made by osflash (partition names: ${partitions
    .map(({ recipe }) => partitionName(recipe))
    .join(', ')})\n${rows.join('\n')}\n`
}

function mountOptions(recipe: RecipePartition, kind: string): string {
  const usual = recipe.role === 'esp' ? 'umask=0077,nofail' : kind === 'swap' ? 'sw' : 'defaults'
  const options = recipe['mount-options'] ?? usual
  return recipe.grow && kind !== 'swap' ? `${options},x-systemd.growfs` : options
}
