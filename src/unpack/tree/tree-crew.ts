/**
 * Hands batches of entries to the threads, and knows when they are made.
 *
 * 1. A record goes to the batch that is open; a full batch is sent. Batches have a slot each, so
 *    whoever adds waits while all are under way.
 * 2. What is to follow a record is called in this thread when its batch is made.
 * 3. `send` before the content's buffer is handed on: its promise is that of every batch sent
 *    since the last `settled` or `send`, so the buffer may be reused when it is kept.
 * 4. The first failure is kept, and thrown by everything that comes later.
 *
 * Not promised: that batches are made in the order in which they are sent. Whoever needs that
 * waits for `settled` in between.
 */
import { makeSlots, SlotQueue, type Slots, slotView } from '../../system/shared-buffers.ts'
import { makeEntries } from './make-entries.ts'
import { BATCH_BYTES, BatchWriter, type TreeRecord } from './tree-batch.ts'

/** Threads that make entries. */
export interface TreeThreads {
  /** The memory of the frames: what content ranges point into. */
  readonly content: ArrayBufferLike
  /** At least `BATCH_BYTES` each. */
  readonly batches: Slots
  /** Makes what the batch in this slot asks for. */
  makeEntries(slot: number): Promise<void>
}

interface RecordContext {
  /** The buffer that the record's content lies in; none for a record without. */
  readonly content?: ArrayBufferLike
  /** Called in this thread when the entry is made. */
  readonly afterwards?: () => void
}

const NO_CONTENT = new ArrayBuffer(0)

interface OpenBatch {
  readonly slot: number
  readonly writer: BatchWriter
  /** Where the content of its records lies. */
  readonly content: ArrayBufferLike
  readonly afterwards: (() => void)[]
}

/** Slots for the batches of this many threads: one made, one that waits, one that is filled. */
export function makeBatchSlots(workers: number): Slots {
  return makeSlots(3 * workers, BATCH_BYTES)
}

export class TreeCrew {
  readonly #directory: string
  readonly #threads: TreeThreads | undefined
  readonly #slots: Slots
  readonly #queue: SlotQueue
  readonly #underWay = new Set<Promise<void>>()
  #open: OpenBatch | undefined
  #sent: Promise<void>[] = []
  #failed: { readonly reason: unknown } | undefined

  /** Without threads the entries are made in this one. */
  constructor(directory: string, threads?: TreeThreads) {
    this.#directory = directory
    this.#threads = threads
    this.#slots = threads?.batches ?? makeBatchSlots(1)
    this.#queue = new SlotQueue(this.#slots.count)
  }

  /**
   * Adds a record; a promise only where a slot has to be waited for.
   * @throws OsflashError the first failure so far
   */
  add(record: TreeRecord, context: RecordContext = {}): Promise<void> | undefined {
    const content = context.content ?? this.#open?.content ?? this.#threads?.content ?? NO_CONTENT
    if (this.#open?.content !== content) return this.#addToNext(record, content, context)
    this.#put(this.#open, record, context)
    return undefined
  }

  /** Sends what is open. The promise is kept when the entries sent since the last are made. */
  send(): Promise<void> {
    this.#sendOpen()
    const all = Promise.all(this.#sent.splice(0)).then(() => undefined)
    all.catch(() => undefined)
    return all
  }

  /** Everything is made. @throws OsflashError the first failure */
  async settled(): Promise<void> {
    this.#sendOpen()
    await this.idle()
    this.#sent = []
    this.#throwIfFailed()
  }

  /** Nothing is under way; never rejects. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  async #addToNext(
    record: TreeRecord,
    content: ArrayBufferLike,
    context: RecordContext,
  ): Promise<void> {
    this.#sendOpen()
    const slot = await this.#queue.acquire()
    if (this.#failed !== undefined) this.#queue.release(slot)
    this.#throwIfFailed()
    const writer = new BatchWriter(slotView(this.#slots, slot), this.#directory)
    const batch: OpenBatch = { slot, writer, content, afterwards: [] }
    this.#open = batch
    this.#put(batch, record, context)
  }

  #put(batch: OpenBatch, record: TreeRecord, { afterwards }: RecordContext): void {
    batch.writer.add(record)
    if (afterwards !== undefined) batch.afterwards.push(afterwards)
    if (batch.writer.full) this.#sendOpen()
  }

  #sendOpen(): void {
    const batch = this.#open
    if (batch === undefined) return
    this.#open = undefined
    const made = this.#make(batch)
    this.#sent.push(made)
    const settled = made
      .catch((reason: unknown) => {
        this.#failed ??= { reason }
      })
      .finally(() => {
        this.#underWay.delete(settled)
        this.#queue.release(batch.slot)
      })
    this.#underWay.add(settled)
  }

  async #make({ slot, content, afterwards }: OpenBatch): Promise<void> {
    if (this.#threads?.content === content) await this.#threads.makeEntries(slot)
    else makeEntries(slotView(this.#slots, slot), content)
    for (const act of afterwards) act()
  }

  #throwIfFailed(): void {
    if (this.#failed !== undefined) throw this.#failed.reason
  }
}
