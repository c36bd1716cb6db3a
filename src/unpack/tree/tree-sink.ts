/**
 * Extraction of a tree payload: the bytes of its tar in, a directory out.
 *
 * 1. The directory is made, or is empty; otherwise nothing is touched.
 * 2. Each chunk goes through the checker; what it gives is written before it is asked for more.
 * 3. `write` is settled when nothing needs the chunk any more, so its buffer may be reused.
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
import { prepareTarget } from './tree-target.ts'

export interface TreeSinkOptions {
  /** Must not exist, or be empty. */
  readonly directory: string
  /** What the manifest says, 0 to 5,000,000. */
  readonly entries: number
  readonly signal?: AbortSignal | undefined
  /** Gets notes on what an ordinary user cannot restore. */
  readonly emit?: Emit
}

/** Calls come one after another: each waits for the one before. */
export interface TreeSink {
  /**
   * Takes the next bytes of the tar; any length, also from shared memory.
   * @throws OsflashError `format`, `limit`, `io`, `refused`, `missing-tool`, `process`, `cancelled`
   */
  write(chunk: Uint8Array): Promise<void>
  /** Ends the tree. @throws OsflashError as `write` */
  end(): Promise<void>
  /** Stops, also while a write is under way; safe to call twice and after `end`. */
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
  #underWay: Promise<void> | undefined
  #ended = false

  constructor({ directory, entries, signal, emit = () => undefined }: TreeSinkOptions) {
    throwIfCancelled(signal)
    this.#checker = new TarChecker(entries)
    this.#builder = new TreeBuilder({ target: prepareTarget(directory), emit, signal })
    this.#signal = signal
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#guard(() => this.#consume(chunk))
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
    this.#builder.close()
  }

  async #consume(chunk: Uint8Array): Promise<void> {
    for (const event of this.#checker.feed(chunk)) {
      const pending = this.#builder.take(event)
      if (pending === undefined) continue
      await pending
      this.#throwIfStopped()
    }
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    if (this.#underWay !== undefined || this.#ended) {
      throw new RangeError('a tree takes one call at a time, and none after its end')
    }
    this.#throwIfStopped()
    try {
      this.#underWay = work()
      await this.#underWay
    } catch (error) {
      this.#stopped ??= { error }
      this.#builder.close()
      throw error
    } finally {
      this.#underWay = undefined
    }
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.error
    throwIfCancelled(this.#signal)
  }
}
