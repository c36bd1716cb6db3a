/**
 * A folder for files that must not outlive their use.
 *
 * 1. `await using scratch = await makeScratch('build')` makes a folder that only this user can
 *    enter.
 * 2. Leaving the block removes it with all it holds, on success, failure and cancelling alike:
 *    SIGINT becomes an error that unwinds.
 *
 * Not promised: removal after SIGKILL or a power cut; the name begins with `osflash-`, so what
 * is left can be recognised. What is mounted below must be unmounted first.
 */

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ioError } from '../errors.ts'

export interface Scratch extends AsyncDisposable {
  /** Absolute path of the folder. */
  readonly path: string
}

/**
 * Makes a scratch folder below `parent` (default: TMPDIR or /tmp).
 *
 * @throws OsflashError `io`
 */
export async function makeScratch(purpose: string, parent: string = tmpdir()): Promise<Scratch> {
  const prefix = join(parent, `osflash-${purpose}-`)
  const path = await mkdtemp(prefix).catch((cause) => {
    throw ioError(`making a scratch folder in ${parent}`, cause)
  })
  return { path, [Symbol.asyncDispose]: () => removeTree(path) }
}

async function removeTree(path: string): Promise<void> {
  // A root file system unpacked as an ordinary user may hold folders without write permission.
  await chmod(path, 0o700).catch(() => undefined)
  await rm(path, { recursive: true, force: true, maxRetries: 2 }).catch((cause) => {
    throw ioError(`removing the scratch folder ${path}`, cause)
  })
}
