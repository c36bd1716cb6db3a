/**
 * A tree that was just packed, read by the rules that `unpack` will read it by.
 *
 * 1. The tar goes through the checker of src/format/tree; its content is passed over.
 * 2. What the checker refuses is refused here, with the name of the entry: better now than on a
 *    machine that nobody is at.
 *
 * Not promised: that the file system it is unpacked to can hold it (attributes, devices).
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import { TarChecker } from '../../format/tree/tar-check.ts'
import { MIB } from '../../units.ts'

/** A path may have 4,096 bytes, and tar shows some of them as four characters. */
const SHOWN_CHARACTERS = 1_000

export interface PackedTree {
  readonly tarball: string
  /** The names of the entries as tar tells them, one a line, in the order of the tar. */
  readonly list: string
  readonly entries: number
  /** What the operator called the tree. */
  readonly shown: string
  readonly signal?: AbortSignal | undefined
}

/**
 * @throws OsflashError `refused` (not what a tree may hold), `limit`, both with `data.entry`;
 *   `io`, `cancelled`
 */
export async function checkTree(tree: PackedTree): Promise<void> {
  let seen = 0
  try {
    const checker = new TarChecker(tree.entries)
    for await (const chunk of createReadStream(tree.tarball, { highWaterMark: MIB })) {
      throwIfCancelled(tree.signal)
      for (const { kind } of checker.feed(chunk)) if (kind === 'entry') seen += 1
    }
    checker.finish()
  } catch (cause) {
    throw await refusal(tree, seen, cause)
  }
}

/** The entry that failed is the one after those that were seen. */
async function refusal(tree: PackedTree, seen: number, cause: unknown): Promise<OsflashError> {
  if (!(cause instanceof OsflashError)) return ioError(`reading ${tree.tarball}`, cause)
  if (cause.code === 'cancelled') return cause
  const entry = await lineOf(tree.list, seen)
  const code = cause.code === 'limit' ? 'limit' : 'refused'
  const what = entry === undefined ? tree.shown : `${entry} of ${tree.shown}`
  return new OsflashError(code, `packing ${what}: unpack would refuse it: ${cause.message}`, {
    cause,
    data: { ...cause.data, entry: entry ?? null },
    hints: entry === undefined ? [] : ['remove or rename it, or pack the tree without it'],
  })
}

async function lineOf(path: string, number: number): Promise<string | undefined> {
  let at = 0
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (at === number) return line.slice(0, SHOWN_CHARACTERS)
    at += 1
  }
  return undefined
}
