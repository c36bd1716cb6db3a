/**
 * A Debian trixie root with three OpenPGP programs that share no code with osflash: the referees.
 *
 * 1. mmdebstrap makes the root with sq (Sequoia), rsop (rPGP) and gosop (GopenPGP), from the
 *    mirror that mmdebstrap takes by default.
 * 2. With OSFLASH_TEST_CACHE=DIR it is kept in DIR and taken from there the next time; without,
 *    it is removed at the end.
 * 3. The programs run with chroot, so this needs root. For an ordinary user the suite is
 *    skipped, and says so.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

/** The number changes when the packages do. */
const CACHED_NAME = 'referees-trixie-1'
const PACKAGES = ['sq', 'rsop', 'gosop', 'zstd', 'xz-utils']

export interface RefereeRoot extends AsyncDisposable {
  /** Absolute path of the root folder. */
  readonly path: string
}

/** Why the referees cannot run here; undefined when they can. */
export function refereesUnavailable(): string | undefined {
  if (process.getuid?.() !== 0) {
    return 'the referees run in a chroot: run this suite as root'
  }
  return undefined
}

/** Makes the root, or takes it from the cache. */
export async function openRefereeRoot(
  cache: string | undefined = process.env.OSFLASH_TEST_CACHE,
): Promise<RefereeRoot> {
  if (cache === undefined || cache === '') {
    const scratch = await makeScratch('referees')
    const path = join(scratch.path, 'root')
    try {
      await bootstrap(path)
    } catch (error) {
      await scratch[Symbol.asyncDispose]()
      throw error
    }
    return { path, [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose]() }
  }
  await mkdir(cache, { recursive: true })
  const path = join(cache, CACHED_NAME)
  if (!existsSync(path)) await bootstrapInto(path)
  return { path, [Symbol.asyncDispose]: async () => undefined }
}

/** The final name appears only when the root is whole. */
async function bootstrapInto(path: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`
  try {
    await bootstrap(partial)
    await rename(partial, path).catch((error: unknown) => {
      // Another run was faster; its root is as good.
      if (!existsSync(path)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

async function bootstrap(path: string): Promise<void> {
  const include = `--include=${PACKAGES.join(',')}`
  await run(['mmdebstrap', '--quiet', '--variant=minbase', include, 'trixie', path])
}
