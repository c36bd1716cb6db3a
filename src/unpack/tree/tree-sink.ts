/**
 * Extraction of a tree payload: the bytes of its tar in, a directory out.
 *
 * 1. The directory is made, or is empty; otherwise nothing is touched.
 * 2. Each chunk goes through the checker, in order; what it gives is made by threads, side by side,
 *    also with what earlier chunks gave.
 * 3. `take` is settled when the next chunk may come; `write`, and the promise that `take` gives,
 *    when nothing needs the chunk any more, so its buffer may be reused.
 * 4. `end` checks that the tar is whole and has the announced number of entries, then sets what
 *    must come last.
 * 5. The first failure closes what is open and is thrown again by every later call. What was
 *    written stays; the next run refuses the directory and says how to remove it.
 *
 * Why no tar-stream: it keeps views of the caller's buffer (the last bytes below a header, the
 * content that its own streams hold) after a write was acknowledged, decodes attributes as text
 * and reads the header a second time by laxer rules. The tests use it as a referee.
 *
 * Not promised: that the data is on the disk; sync the file system afterwards.
 */
import { cancelled, throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { TarChecker } from '../../format/tree/tar-check.ts'
import { TreeBuilder } from './tree-builder.ts'
import type { TreeThreads } from './tree-crew.ts'
import { prepareTarget } from './tree-target.ts'

export interface TreeSinkOptions {
  /** Must not exist, or be empty. */
  readonly directory: string
  /** What the manifest says, 0 to 5,000,000. */
  readonly entries: number
  readonly signal?: AbortSignal | undefined
  /** Gets notes on what an ordinary user cannot restore. */
  readonly emit?: Emit
  /** Absent: entries are made by this thread. */
  readonly threads?: TreeThreads
}

/** What was taken, and is not all on its way to the disk. */
export interface Taken {
  /** Kept when nothing needs the chunk any more. */
  readonly made: Promise<void>
}

/** Calls come one after another: each waits for the one before. */
export interface TreeSink {
  /**
   * Takes the next bytes of the tar; any length, also from shared memory. The next chunk may come
   * while this one's entries are being made; after a failure of those, call `abort`.
   * @param zeros the chunk is nothing but zeros, which files need not be given
   * @throws OsflashError `format`, `limit`, `io`, `refused`, `missing-tool`, `process`, `cancelled`
   */
  take(chunk: Uint8Array, zeros?: boolean): Promise<Taken>
  /** As `take`, and waits until nothing needs the chunk. @throws OsflashError as `take` */
  write(chunk: Uint8Array): Promise<void>
  /** Ends the tree. @throws OsflashError as `write` */
  end(): Promise<void>
  /** Stops, waits for what is under way; safe to call twice and after `end`. */
  abort(): Promise<void>
}

/**
 * Prepares the directory for a tree.
 * @throws OsflashError `refused` (directory not empty), `limit` (entries), `io`
 */
export function openTreeSink(options: TreeSinkOptions): TreeSink {
  return new Extraction(options)
}

class Extraction implements TreeSink {
  readonly #checker: TarChecker
  readonly #builder: TreeBuilder
  readonly #signal: AbortSignal | undefined
  #stopped: { readonly error: unknown } | undefined
  #underWay: Promise<unknown> | undefined
  #ended = false

  constructor({ directory, entries, signal, threads, emit = () => undefined }: TreeSinkOptions) {
    throwIfCancelled(signal)
    this.#checker = new TarChecker(entries)
    const target = prepareTarget(directory)
    this.#builder = new TreeBuilder({ target, emit, signal, threads })
    this.#signal = signal
  }

  take(chunk: Uint8Array, zeros = false): Promise<Taken> {
    return this.#guard(async () => {
      await this.#consume(chunk, zeros)
      const made = this.#stopIfFailed(this.#builder.send())
      // Whoever does not wait for it is told by the next call.
      made.catch(() => undefined)
      return { made }
    })
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { made } = await this.take(chunk)
    await this.#guard(() => made)
  }

  end(): Promise<void> {
    return this.#guard(async () => {
      this.#checker.finish()
      await this.#builder.finish()
      this.#ended = true
    })
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    this.#stopped ??= { error: cancelled() }
    await this.#underWay?.catch(() => undefined)
    await this.#builder.close()
  }

  async #consume(chunk: Uint8Array, zeros: boolean): Promise<void> {
    for (const event of this.#checker.feed(chunk)) {
      const pending = this.#builder.take(event, zeros)
      if (pending === undefined) continue
      await pending
      this.#throwIfStopped()
    }
  }

  async #guard<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#underWay !== undefined || this.#ended) {
      throw new RangeError('a tree takes one call at a time, and none after its end')
    }
    this.#throwIfStopped()
    try {
      const underWay = work()
      this.#underWay = underWay
      return await underWay
    } catch (error) {
      this.#stopped ??= { error }
      await this.#builder.close()
      throw error
    } finally {
      this.#underWay = undefined
    }
  }

  /** A failure that no call waits for stops the calls to come. */
  async #stopIfFailed(made: Promise<void>): Promise<void> {
    try {
      await made
    } catch (error) {
      this.#stopped ??= { error }
      throw error
    }
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.error
    throwIfCancelled(this.#signal)
  }
}
