/**
 * Makes a device node or a fifo: Node has no call for it, coreutils' `mknod` has.
 *
 * 1. The node is made with mode 0600; owner, mode and time are the caller's next step.
 * 2. Arguments are text, so a name that is not UTF-8 is refused here, and only here.
 */
import { OsflashError } from '../../errors.ts'
import type { SpecialEntry } from '../../format/tree/tar-entry.ts'
import { showPath } from '../../format/tree/tree-path.ts'
import { type Argv, run } from '../../system/run.ts'

/**
 * Makes the node at `path`, which must not exist.
 * @throws OsflashError `process`, `missing-tool`, `cancelled`; `refused` for a name in no UTF-8
 */
export async function makeSpecialFile(
  path: string | Buffer,
  entry: SpecialEntry,
  signal: AbortSignal | undefined,
): Promise<void> {
  const text = path.toString()
  if (Buffer.isBuffer(path) && !Buffer.from(text).equals(path)) {
    const message = `making ${entry.kind} ${showPath(entry.path)}: its name is not UTF-8`
    throw new OsflashError('refused', message)
  }
  await run(['mknod', '-m', '600', text, ...kindArguments(entry)], { signal })
}

function kindArguments(entry: SpecialEntry): Argv {
  if (entry.kind === 'fifo') return ['p']
  const letter = entry.device === 'character' ? 'c' : 'b'
  return [letter, String(entry.major), String(entry.minor)]
}
