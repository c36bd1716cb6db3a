/**
 * Files that the build adds to the new root: written as one tar and unpacked over it.
 *
 * 1. Entries are sorted; folders that are missing come first, as root's, with mode 0755.
 * 2. The tar carries owner and mode, so unpacking needs no second pass, and an ordinary user's
 *    build gives the same owners as root's.
 *
 * Not promised: links and devices; a recipe has no way to ask for them.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'
import { ioError } from '../../errors.ts'
import { resolveInside } from '../../system/inside-root.ts'
import { type BuildContext, runAsOwner } from './context.ts'

/** One file or folder; `path` is absolute in the new system. */
export interface OverlayEntry {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly body:
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'copy'; readonly from: string }
    | { readonly kind: 'folder' }
}

/** A file of root with the given text; the mode is 0644 unless told. */
export const rootFile = (path: string, text: string, mode = 0o644): OverlayEntry => ({
  path,
  mode,
  uid: 0,
  gid: 0,
  body: { kind: 'text', text },
})

/** @throws OsflashError `io` or `process` */
export async function addToRoot(
  root: string,
  entries: readonly OverlayEntry[],
  context: BuildContext,
): Promise<void> {
  if (entries.length === 0) return
  const tarball = join(context.scratch, 'overlay.tar')
  const archive = pack()
  const written = pipeline(archive, createWriteStream(tarball))
  await Promise.all([written, packEntries(archive, root, { entries, context })])
  const keep = ['--same-owner', '--numeric-owner', '--same-permissions', '--keep-directory-symlink']
  const where = ['--directory', root, '--file', tarball]
  await runAsOwner(context, ['tar', '--extract', ...keep, ...where])
  await rm(tarball)
}

interface Entries {
  readonly entries: readonly OverlayEntry[]
  readonly context: BuildContext
}

async function packEntries(archive: Pack, root: string, input: Entries): Promise<void> {
  const made = new Set<string>()
  const mtime = new Date(input.context.sourceDateEpoch * 1000)
  try {
    for (const entry of input.entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
      const { inside, missing } = await resolveInside(root, entry.path, 'keep')
      for (const folder of missing.filter((path) => !made.has(path))) {
        made.add(folder)
        archive.entry({ name: `${folder}/`, type: 'directory', mode: 0o755, mtime })
      }
      if (entry.body.kind === 'folder') made.add(inside)
      await packEntry(archive, entry, { name: inside, mtime })
    }
    archive.finalize()
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

async function packEntry(
  archive: Pack,
  { body, mode, uid, gid }: OverlayEntry,
  at: { readonly name: string; readonly mtime: Date },
): Promise<void> {
  const header = { ...at, mode, uid, gid }
  if (body.kind === 'folder') {
    archive.entry({ ...header, name: `${at.name}/`, type: 'directory' })
  } else if (body.kind === 'text') {
    archive.entry(header, body.text)
  } else {
    const { size } = await stat(body.from).catch((cause: unknown) => {
      throw ioError(`reading ${body.from}`, cause)
    })
    await pipeline(createReadStream(body.from), archive.entry({ ...header, size }))
  }
}
