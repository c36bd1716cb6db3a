/**
 * Where the checkpoint of a target is kept, unless the caller names a place.
 *
 * 1. Beside a file; for a device in the state folder of the system, which is made if missing.
 * 2. `unpack` writes it there; `bench` removes it before it overwrites a target.
 */
import { mkdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const STATE_FOLDER = '/var/lib/osflash'

export async function checkpointPath(target: string): Promise<string> {
  const isDevice = await stat(target).then(
    (found) => found.isBlockDevice(),
    () => false,
  )
  if (!isDevice) return `${target}.checkpoint`
  const path = join(STATE_FOLDER, `${basename(target)}.checkpoint`)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  return path
}
