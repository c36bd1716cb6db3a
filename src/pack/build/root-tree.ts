/**
 * Makes the folder that holds the new root file system, from any source of a recipe.
 *
 * 1. debian: mmdebstrap makes a tarball.
 * 2. A tarball is unpacked with its owners, modes, extended attributes; its /dev is left out,
 *    because the kernel fills /dev and an ordinary user can make no device nodes.
 * 3. A folder is copied, without what is mounted below it.
 *
 * Not promised: that what comes out is an operating system; customising and booting find out.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { existsInside } from '../../system/inside-root.ts'
import type { Recipe } from '../recipe/schema.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import { makeDebianTar } from './debian.ts'
import { addToRoot, type OverlayEntry } from './overlay.ts'

/** The absolute path of the new root, below the scratch folder. */
export async function makeRootTree(recipe: Recipe, context: BuildContext): Promise<string> {
  const root = join(context.scratch, 'root')
  await mkdir(root, { mode: 0o755 })
  const { debian, tar, directory } = recipe.source
  if (debian !== undefined) {
    const tarball = join(context.scratch, 'root.tar')
    await inPhase(context.emit, 'installing packages', () =>
      makeDebianTar(debian, context, { target: tarball, architecture: recipe.architecture }),
    )
    await inPhase(context.emit, 'unpacking the root', () => unpackTar(tarball, root, context))
    await rm(tarball)
  } else if (tar !== undefined) {
    await inPhase(context.emit, 'unpacking the root', () => unpackTar(tar, root, context))
  } else if (directory !== undefined) {
    await inPhase(context.emit, 'copying the root', () => copyFolder(directory, root, context))
  } else {
    throw new OsflashError('unexpected', 'making the root: the source has no root file system')
  }
  await addToRoot(root, await missingMountPoints(root), context)
  return root
}

/** Where a kernel and the build itself mount something. */
const MOUNT_POINTS = { dev: 0o755, proc: 0o555, sys: 0o555, run: 0o755, tmp: 0o1777 } as const

async function missingMountPoints(root: string): Promise<readonly OverlayEntry[]> {
  const missing: OverlayEntry[] = []
  for (const [name, mode] of Object.entries(MOUNT_POINTS)) {
    if (await existsInside(root, name)) continue
    missing.push({ path: `/${name}`, mode, uid: 0, gid: 0, body: { kind: 'folder' } })
  }
  return missing
}

/** Unpacks a tarball with owners, modes and attributes, without what is in its /dev. */
export async function unpackTar(
  tarball: string,
  root: string,
  context: BuildContext,
): Promise<void> {
  const keep = ['--numeric-owner', '--same-owner', '--same-permissions', '--xattrs']
  const skip = ['--anchored', '--exclude=./dev/*', '--exclude=dev/*']
  const attributes = ['--xattrs-include=*']
  const where = ['--directory', root, '--file', tarball]
  await runAsOwner(context, ['tar', '--extract', ...keep, ...attributes, ...skip, ...where])
}

async function copyFolder(folder: string, root: string, context: BuildContext): Promise<void> {
  const how = ['--archive', '--one-file-system', '--reflink=auto', '--no-target-directory']
  await runAsOwner(context, ['cp', ...how, folder, root])
  await runAsOwner(context, ['rm', '-rf', '--one-file-system', join(root, 'dev')])
}
