/**
 * How far the writing of a disk is, kept in a small file so that it can go on after a cut.
 *
 * 1. Frames are numbered in the order of the plan; `FrameCounter` knows up to which one all are
 *    written, whatever the order in which they end.
 * 2. Now and then (saver.ts) the target is flushed, and only then is the number written down: to
 *    a new file, flushed, renamed. With it goes how much of the ranges of zeros is done.
 * 3. So a run that is cut repeats at most the frames under way and those of two checkpoints.
 * 4. A checkpoint is bound to the bytes of the manifest, and to the size and identity of the
 *    target; some of the frames that it counts are read back before they are skipped.
 */
import { open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod/mini'
import { errnoOf, ioError, OsflashError } from '../errors.ts'

const schema = z.strictObject({
  format: z.literal('osflash-checkpoint/2'),
  manifestDigest: z.string(),
  targetBytes: z.int().check(z.minimum(0)),
  /** This very file or disk (target.ts). */
  targetIdentity: z.string(),
  /** Frames of the body that are safe on the target, counted in the order of the plan. */
  frames: z.int().check(z.minimum(0)),
  /** Bytes that are zero on the target, counted through the ranges of the plan. */
  zeroedBytes: z.int().check(z.minimum(0)),
})

export type Checkpoint = z.infer<typeof schema>

/** How far a disk is: both count what is safe on it, in the order of the plan. */
export type DiskProgress = Pick<Checkpoint, 'frames' | 'zeroedBytes'>

/** What a checkpoint belongs to. */
export interface CheckpointKey {
  readonly manifestDigest: string
  readonly targetBytes: number
  readonly targetIdentity: string
}

/**
 * What need not be done again; `undefined` without a checkpoint.
 * @throws OsflashError `refused` when it belongs to another image or target
 */
export async function readCheckpoint(
  path: string,
  key: CheckpointKey,
): Promise<DiskProgress | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path}`, cause)
  }
  const parsed = schema.safeParse(parseJson(text))
  const same =
    parsed.success &&
    parsed.data.manifestDigest === key.manifestDigest &&
    parsed.data.targetBytes === key.targetBytes &&
    parsed.data.targetIdentity === key.targetIdentity
  if (same) return { frames: parsed.data.frames, zeroedBytes: parsed.data.zeroedBytes }
  throw new OsflashError('refused', `reading ${path}: it belongs to another image or target`, {
    hints: ['run without --resume to start again'],
  })
}

/** Replaces the checkpoint; it is on the disk when the promise settles. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const next = `${path}.new`
  try {
    const file = await open(next, 'w', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(checkpoint)}\n`)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(next, path)
  } catch (cause) {
    await unlink(next).catch(() => undefined)
    throw ioError(`writing ${path}`, cause)
  }
}

/** Removes the checkpoint for good: a power cut must not bring it back. */
export async function removeCheckpoint(path: string): Promise<void> {
  try {
    await unlink(path)
    const folder = await open(dirname(path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw ioError(`removing ${path}`, cause)
  }
}

/** Counts frames that end in any order; `prefix` is the number up to which all have ended. */
export class FrameCounter {
  readonly #ended = new Set<number>()
  #prefix: number

  constructor(start: number) {
    this.#prefix = start
  }

  get prefix(): number {
    return this.#prefix
  }

  ended(frame: number): void {
    this.#ended.add(frame)
    while (this.#ended.delete(this.#prefix)) this.#prefix += 1
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
