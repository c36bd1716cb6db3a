/**
 * Paths of the new system, seen from outside of it.
 *
 * 1. Each part is looked up below the root; a symbolic link is followed as the new system would
 *    follow it, an absolute one from the root again, so no path of a recipe leaves the root.
 * 2. At most 40 links, as the kernel has it.
 *
 * Not promised: safety against a tree that somebody changes meanwhile; it is the build's own.
 */
import { lstat, readFile, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'

const LINKS_MAX = 40

export interface InsidePath {
  /** Without a leading slash; no part but the last may be a link. */
  readonly inside: string
  /** Folders on the way that do not exist, outermost first. */
  readonly missing: readonly string[]
}

/** Resolves the folder of `path` (absolute in the new system); the last part is kept as it is. */
export async function resolveInside(root: string, path: string): Promise<InsidePath> {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  const last = names.pop() ?? ''
  let pending = names
  let parts: string[] = []
  const missing: string[] = []
  let links = 0
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '..') {
      parts.pop()
      continue
    }
    const at = [...parts, name].join('/')
    const target = await linkTarget(join(root, at), path)
    if (target === 'missing') missing.push(at)
    if (target === 'missing' || target === 'folder') {
      parts = [...parts, name]
      continue
    }
    links += 1
    if (links > LINKS_MAX) throw wrong(path, 'too many symbolic links')
    pending = [...target.to.split('/').filter((part) => part !== '' && part !== '.'), ...pending]
    if (target.to.startsWith('/')) parts = []
  }
  return { inside: [...parts, last].join('/'), missing }
}

/** Resolves `path` with its last part: a link there is followed inside the root, never outside. */
export async function resolveFully(root: string, path: string): Promise<InsidePath> {
  let resolved = await resolveInside(root, path)
  for (let links = 0; links < LINKS_MAX; links += 1) {
    const target = await readlink(join(root, resolved.inside)).catch(() => undefined)
    if (target === undefined) return resolved
    const next = target.startsWith('/') ? target : `${dirname(`/${resolved.inside}`)}/${target}`
    resolved = await resolveInside(root, next)
  }
  throw wrong(path, 'too many symbolic links')
}

type Step = 'missing' | 'folder' | { readonly to: string }

async function linkTarget(at: string, path: string): Promise<Step> {
  try {
    const stat = await lstat(at)
    if (stat.isSymbolicLink()) return { to: await readlink(at) }
    if (!stat.isDirectory()) throw wrong(path, `${at} is no folder`)
    return 'folder'
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return 'missing'
    throw ioError(`looking up ${path} in the new root`, cause)
  }
}

/** The text of a file of the new system; `undefined` when there is none. */
export async function readInside(root: string, path: string): Promise<string | undefined> {
  const { inside } = await resolveFully(root, path)
  return readFile(join(root, inside), 'utf8').catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path} of the new root`, cause)
  })
}

/** True when the new system has something at `path`; a link counts, whatever it points to. */
export async function existsInside(root: string, path: string): Promise<boolean> {
  const { inside, missing } = await resolveInside(root, path)
  if (missing.length > 0) return false
  const found = await lstat(join(root, inside)).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`looking up ${path} in the new root`, cause)
  })
  return found !== undefined
}

function wrong(path: string, why: string): OsflashError {
  return new OsflashError('refused', `looking up ${path} in the new root: ${why}`)
}
