/**
 * Keeps what V8 compiled from one run to the next: a sixth of the time until unpacking begins.
 *
 * 1. What lies in the cache is run as it is, so it must be as hard to change as the program
 *    itself. It lies in `.cache` of the package's own folder.
 * 2. It is used only when that folder and the cache belong to who runs the program, and nobody
 *    else may write to them: root does not run what a user compiled, nor the other way round.
 * 3. Otherwise, and where nothing can be written (a rescue system), there is none, without a word.
 *
 * Node names the files by its version and by the place and digest of the source, and checks their
 * sums; NODE_DISABLE_COMPILE_CACHE=1 turns it off.
 */
import { lstatSync, mkdirSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

/** What a file's mode must not have: writing for its group and for others. */
const OTHERS_WRITE = 0o022

/** Call it before anything large is loaded. @param packageFolder where package.json lies */
export function useCodeCache(packageFolder: string): void {
  const folder = join(packageFolder, '.cache')
  try {
    if (!isOurs(packageFolder)) return
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (isOurs(folder)) enableCompileCache(folder)
  } catch {
    // A read-only system.
  }
}

function isOurs(folder: string): boolean {
  const { uid, mode } = lstatSync(folder)
  return uid === process.geteuid?.() && (mode & OTHERS_WRITE) === 0
}
