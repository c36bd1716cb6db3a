/**
 * What sshd needs in a root that is not running.
 *
 * 1. /run/sshd, an empty folder of root, where sshd locks itself in.
 * 2. /dev/null and /dev/urandom: nodes where the root has none; nothing is mounted over /dev,
 *    so nothing of the host is within reach.
 * 3. What was made is removed afterwards, on failure too.
 */
import { mkdir, rmdir } from 'node:fs/promises'
import { errnoOf, ioError } from '../../errors.ts'
import { existsInside, insideRoot } from '../../system/inside-root.ts'
import { run } from '../../system/run.ts'
import { removeInside } from '../write-inside.ts'

const SSHD_FOLDER = '/run/sshd'
const FOLDER_MODE = 0o755
/** Name and minor number; the major number of all is 1 (mem). */
const DEVICES = { '/dev/null': '3', '/dev/urandom': '9' } as const

/** Runs `work` while the root has them. @throws OsflashError `io`, `process`, what `work` throws */
export async function withChrootNeeds<T>(root: string, work: () => Promise<T>): Promise<T> {
  await using cleanup = new AsyncDisposableStack()
  const folder = await insideRoot(root, SSHD_FOLDER)
  if (await makeFolder(folder)) cleanup.defer(() => rmdir(folder).catch(() => undefined))
  for (const [path, minor] of Object.entries(DEVICES)) {
    if (await existsInside(root, path)) continue
    await run(['mknod', '-m', '666', await insideRoot(root, path), 'c', '1', minor])
    cleanup.defer(() => removeInside(root, path))
  }
  return await work()
}

/** True when it was not there. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, FOLDER_MODE)
    return true
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return false
    throw ioError(`making ${path}`, cause)
  }
}
