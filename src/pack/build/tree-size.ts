/**
 * How much room the content of a tree takes in a file system.
 *
 * 1. `find` lists sizes and kinds; a file counts in whole blocks, a hard link once.
 * 2. Holes count as data: the makers of file systems do not all keep them.
 *
 * Not promised: the exact figure of any one file system; each adds its own share.
 */
import { type BuildContext, runAsOwner } from './context.ts'

const BLOCK_BYTES = 4_096

export interface TreeSize {
  readonly dataBytes: number
  readonly entries: number
}

export async function measureTree(tree: string, context: BuildContext): Promise<TreeSize> {
  const argv = ['find', tree, '-xdev', '-printf', '%i %y %s\\n'] as const
  const { stdout } = await runAsOwner(context, argv)
  const seen = new Set<string>()
  let dataBytes = 0
  for (const row of stdout.split('\n')) {
    const [inode = '', kind = '', size = '0'] = row.split(' ')
    if (inode === '' || seen.has(inode)) continue
    seen.add(inode)
    if (kind === 'f') dataBytes += Math.ceil(Number(size) / BLOCK_BYTES) * BLOCK_BYTES
    if (kind === 'd') dataBytes += Math.max(BLOCK_BYTES, Number(size))
    if (kind === 'l' && Number(size) > 59) dataBytes += BLOCK_BYTES
  }
  return { dataBytes, entries: seen.size }
}
