/**
 * What scenarios share is made once, in build/e2e.
 *
 * 1. A file is named by the digest of everything it is made from; an older one goes away in time.
 * 2. Two processes that want the same file: the second waits for the first.
 * 3. A file is complete or not there.
 */
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { holdLock } from '../../src/system/lock.ts'

export const root = join(import.meta.dirname, '../..')
export const buildFolder = join(root, 'build/e2e')

export const digestOf = (...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex').slice(0, 12)
}

export interface Wanted {
  /** `target-debian-13`; the file is called `NAME@KEY.EXTENSION`. */
  readonly name: string
  readonly extension: string
  /** `digestOf` everything that the file depends on. */
  readonly key: string
}

const HOUR_MS = 3_600_000

/** The path of the file, made by `make` when it is not there. `make` may leave out the rest. */
export async function cached(
  { name, extension, key }: Wanted,
  make: (path: string) => Promise<void>,
): Promise<string> {
  await mkdir(buildFolder, { recursive: true, mode: 0o700 })
  const path = join(buildFolder, `${name}@${key}.${extension}`)
  await using _lock = await waitForLock(join(buildFolder, name))
  if (await exists(path)) return path
  for (const old of await readdir(buildFolder)) {
    if (!old.startsWith(`${name}@`) || !old.endsWith(extension)) continue
    const { mtimeMs } = await stat(join(buildFolder, old))
    // A scenario that runs beside this one may still serve it.
    if (Date.now() - mtimeMs > HOUR_MS) await rm(join(buildFolder, old), { recursive: true })
  }
  const part = `${path}.part`
  await rm(part, { recursive: true, force: true })
  await make(part)
  await rename(part, path)
  return path
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function waitForLock(name: string): Promise<AsyncDisposable> {
  for (;;) {
    try {
      return await holdLock(name, `making ${name}`)
    } catch {
      await sleep(500)
    }
  }
}
