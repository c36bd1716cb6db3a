/**
 * Puts what a recipe's archives hold into the new root.
 *
 * 1. Each archive is unpacked to a folder of its own, with owners, modes and attributes.
 * 2. That folder is copied to its place, which is made if it is missing; what is there already
 *    is replaced file by file.
 * 3. The copy goes through no symbolic link: a link of the new root may point to a folder of
 *    this machine. Where the archive has a folder and the root a link, the build ends.
 *
 * Not promised: that programs of an archive find what they need in the new root.
 */
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import type { RecipeArchive } from '../recipe/schema.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import { addToRoot } from './overlay.ts'

/** Unpacks the archives in their order. @throws OsflashError `recipe`, `io`, `process` */
export async function addArchives(
  archives: readonly RecipeArchive[],
  root: string,
  context: BuildContext,
): Promise<void> {
  for (const archive of archives) {
    const folder = join(context.scratch, 'archive')
    await unpackArchive(archive, folder, context)
    await makePlace(archive.into, root, context)
    const into = await insideRoot(root, archive.into)
    // Each by its name: `cp FOLDER/.` would give the place the mode and owner of the folder.
    const held = (await readdir(folder)).toSorted().map((name) => join(folder, name))
    const how = ['--archive', '--remove-destination', '--reflink=auto']
    const to = `--target-directory=${into}`
    await runAsOwner(context, ['cp', ...how, to, ...held])
    await runAsOwner(context, ['rm', '-rf', folder])
  }
}

async function unpackArchive(
  { source, strip }: RecipeArchive,
  folder: string,
  context: BuildContext,
): Promise<void> {
  await mkdir(folder, { mode: 0o755 })
  const keep = ['--numeric-owner', '--same-owner', '--same-permissions', '--no-overwrite-dir']
  const what = ['--xattrs', '--xattrs-include=*', `--strip-components=${strip}`]
  const where = ['--directory', folder, '--file', source]
  await runAsOwner(context, ['tar', '--extract', ...keep, ...what, ...where])
  if ((await readdir(folder)).length > 0) return
  throw new OsflashError('recipe', `unpacking ${source}: nothing is left of it`, {
    data: { source, strip },
    hints: strip === 0 ? [] : [`strip is ${strip}; see tar --list --file ${source}`],
  })
}

async function makePlace(path: string, root: string, context: BuildContext): Promise<void> {
  if (await existsInside(root, path)) return
  const folder = { path, mode: 0o755, uid: 0, gid: 0, body: { kind: 'folder' } } as const
  await addToRoot(root, [folder], context)
}
