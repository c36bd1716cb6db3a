/**
 * Names that outlive a power cut: a file's own flush does not cover its name.
 *
 * Not promised: the file's bytes; who wrote them flushes them first.
 */
import { open } from 'node:fs/promises'

/** What was made, renamed or removed in the folder is on the disk. Throws as node:fs does. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}
