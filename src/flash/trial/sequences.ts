/**
 * The highest sequence of each image name that a host took, carried into the target: an older
 * image is refused there as well.
 *
 * 1. A name never goes down.
 * 2. No record is an empty one; one that cannot be read, or is none, is an error: who took it for
 *    empty would take any old image.
 *
 * Not promised: a host whose record somebody removed.
 */
import * as z from 'zod/mini'
import { OsflashError } from '../../errors.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import { MOUNT_STORE } from '../hints.ts'
import { STORE_MOUNT } from '../places.ts'

const sequencesSchema = z.record(z.string(), z.int().check(z.minimum(0)))
export type Sequences = Readonly<Record<string, number>>

/** The highest of each name. */
export function mergeSequences(all: readonly Sequences[]): Sequences {
  const highest = new Map<string, number>()
  for (const [name, sequence] of all.flatMap((one) => Object.entries(one))) {
    highest.set(name, Math.max(sequence, highest.get(name) ?? 0))
  }
  return Object.fromEntries([...highest].sort())
}

/** @throws OsflashError `format` when it is none, `io` */
export const readSequences = async (path: string): Promise<Sequences> =>
  parseSequences(await readIfThere(path), path)

/**
 * What a sequences file says; nothing when it is missing.
 * @param path of which an error speaks
 * @throws OsflashError `format` when it is none
 */
export function parseSequences(bytes: Uint8Array | undefined, path: string): Sequences {
  if (bytes === undefined) return {}
  try {
    return sequencesSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (cause) {
    throw new OsflashError('format', `reading ${path}: it is no record of image sequences`, {
      cause,
      hints: [
        // It names a place that is there only while the store is mounted.
        ...(path.startsWith(STORE_MOUNT) ? [`${MOUNT_STORE}, unless it is mounted`] : []),
        'restore it from a backup',
        'remove it: older images are taken then, too',
      ],
    })
  }
}

export const sequencesBytes = (sequences: Sequences): Buffer =>
  Buffer.from(`${JSON.stringify(sequences)}\n`)
