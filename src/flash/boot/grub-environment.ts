/**
 * GRUB's environment block in a file, changed where it lies.
 *
 * 1. Read whole: 1,024 bytes, or it is no block.
 * 2. Changed by one write of 1,024 bytes, flushed, read back. `grub-editenv` truncates first and
 *    so can lose the block with the power: it is never used.
 * 3. Never made here: a new file may lie where GRUB, which replays no journal, does not see it.
 */
import {
  changeGrubEnvironment,
  GRUB_ENVIRONMENT_BYTES,
  parseGrubEnvironment,
} from '../../format/grub-environment.ts'
import { type OpenFile, readPiece, writeOnce } from './one-write.ts'

/**
 * The block's bytes, which are one.
 * @throws OsflashError `io`, `format`
 */
export async function readGrubEnvironment(path: string, openFile?: OpenFile): Promise<Uint8Array> {
  const block = await readPiece({ path, offset: 0, length: GRUB_ENVIRONMENT_BYTES }, openFile)
  parseGrubEnvironment(block)
  return block
}

/** @throws OsflashError `io`, `format` (the new or the old bytes are no block), `readback` */
export async function writeGrubEnvironment(
  path: string,
  block: Uint8Array,
  openFile?: OpenFile,
): Promise<void> {
  parseGrubEnvironment(block)
  await readGrubEnvironment(path, openFile)
  await writeOnce({ path, offset: 0, bytes: block }, openFile)
}

/** Sets some variables and leaves the rest. @throws OsflashError `io`, `format`, `readback` */
export async function setGrubVariables(
  path: string,
  changes: Readonly<Record<string, string | undefined>>,
  openFile?: OpenFile,
): Promise<void> {
  const block = await readGrubEnvironment(path, openFile)
  await writeGrubEnvironment(path, changeGrubEnvironment(block, changes), openFile)
}
