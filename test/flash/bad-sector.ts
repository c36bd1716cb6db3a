/**
 * A stage that takes no write at one place: its file has a hole there, and no room to fill it.
 *
 * The file lies in memory of limited size from the start: a loop device whose file is exchanged
 * is free for a moment, and another test takes it.
 */
import { mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { run } from '../../src/system/run.ts'

const PAGE_BYTES = 4_096

/** A folder with room for a disk of `bytes` and little else, as `breakSector` needs it. */
export async function tightFolder(path: string, bytes: number): Promise<string> {
  await mkdir(path)
  await run(['mount', '-t', 'tmpfs', '-o', `size=${bytes + 64 * PAGE_BYTES}`, 'none', path])
  onTestFinished(async () => {
    await run(['umount', '--lazy', path])
  })
  return path
}

interface Stage {
  readonly device: string
  /** In a `tightFolder`. */
  readonly file: string
}

/** @param offset on the stage, bytes; a multiple of a page */
export async function breakSector({ file, device }: Stage, offset: number): Promise<void> {
  await run(['blockdev', '--flushbufs', device])
  // A file system that was made on it may have given room back.
  await run(['fallocate', '-l', `${(await stat(file)).size}`, file])
  await run(['fallocate', '--punch-hole', '-o', `${offset}`, '-l', `${PAGE_BYTES}`, file])
  const rest = join(dirname(file), 'rest')
  await run(['dd', 'if=/dev/zero', `of=${rest}`, `bs=${PAGE_BYTES}`], { statuses: [1] })
}
