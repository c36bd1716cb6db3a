/**
 * What stood in the boot configuration before it was armed, as JSON on the store.
 *
 * 1. Its keys are the boot method's own; here it is only read and checked for being plain.
 * 2. Absent means that nothing was armed yet.
 */
import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import type { ArmBackup } from './boot/method.ts'

const backupSchema = z.record(
  z.string(),
  z.nullable(z.union([z.string(), z.number(), z.boolean()])),
)

/** `undefined` when nothing was armed yet. */
export async function readBackup(path: string): Promise<ArmBackup | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path}`, cause)
  }
  try {
    return backupSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new OsflashError('format', `reading ${path}: it is not what osflash saved`, { cause })
  }
}
