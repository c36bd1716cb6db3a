/**
 * The journal: how far a replacement is, so that a power cut leaves the old or the new record.
 *
 * 1. Two files of 4,096 bytes on the store, written alternately: the record with sequence n lies
 *    in slot n mod 2, so the newest record is never the one that is overwritten.
 * 2. A slot (docs/journal.md):
 *      OFFSET  SIZE  MEANING
 *           0  4064  the record as JSON (UTF-8), filled up with newlines
 *        4064    32  SHA-256 of the 4,064 bytes before
 * 3. Files are made whole and without holes, and only overwritten in place: O_DSYNC, and O_DIRECT
 *    where the file system has it (tmpfs may not). Each write is read back.
 * 4. A slot whose digest or record is wrong is as if it were not there. When no slot is readable
 *    this is an error, and in the rescue the caller holds.
 * 5. The trial agent cannot write JSON with digests: its file `confirmed` counts as the record.
 *
 * Not promised: two writers at once. The second is refused when it finds a record of the first.
 */

import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import { readIfThere } from '../system/read-if-there.ts'
import { makeSlots, slotView } from '../system/shared-buffers.ts'
import { writeFileSafely } from './durable-file.ts'
import { RESUME_WITH } from './hints.ts'
import { STORE } from './places.ts'
import { type JournalRecord, journalRecordSchema, NEXT, type SystemName } from './states.ts'

/** Size of a slot in bytes. */
export const SLOT_BYTES = 4_096
const DIGEST_BYTES = 32
const TEXT_BYTES = SLOT_BYTES - DIGEST_BYTES
const NEWLINE = 0x0a
const ERROR_CHARACTERS = 1_024
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** What changes with a record; what is absent stays as it was. */
export interface JournalStep {
  readonly state: JournalRecord['state']
  /** Cut to 1,024 characters. Without it the last one stays until another state is entered. */
  readonly error?: string
  readonly attempts?: JournalRecord['attempts']
  /** SHA-256 of plan.json, lower-case hex. */
  readonly planDigest?: string
}

export interface Journal {
  /** The newest record; absent while none was ever written. */
  readonly current: JournalRecord | undefined
  /**
   * Durable and read back when the promise settles.
   * @throws RangeError for a step that `NEXT` does not have; OsflashError `refused` when another
   *   process wrote meanwhile, `io`, `readback`
   */
  write(step: JournalStep): Promise<JournalRecord>
}

export interface JournalWriter {
  /** Which of the three systems writes. */
  readonly system: SystemName
  /** Default: that of the running kernel. */
  readonly bootId?: string
}

/**
 * Reads the journal in the root of a store; changes nothing.
 * @throws OsflashError `format` when no slot is readable, `io`
 */
export async function openJournal(folder: string, writer: JournalWriter): Promise<Journal> {
  const record = await readRecord(folder)
  const current = record && (await asConfirmed(folder, record))
  return new SlotJournal(folder, { bootId: await readBootId(), ...writer }, current)
}

/**
 * As `openJournal`, for those who go on without one.
 * @returns undefined when neither slot can be read
 * @throws OsflashError `io`
 */
export const openReadableJournal = (
  folder: string,
  writer: JournalWriter,
): Promise<Journal | undefined> =>
  openJournal(folder, writer).catch((error: unknown) => {
    if (error instanceof OsflashError && error.code === 'format') return undefined
    throw error
  })

/**
 * Makes both slots and writes the first record; what lay there is replaced.
 * @param first its sequence, since and bootId are made here
 * @throws OsflashError `io`, `readback`
 */
export async function createJournal(
  folder: string,
  first: Required<Omit<JournalStep, 'error'>> & JournalWriter,
): Promise<Journal> {
  const { bootId = await readBootId(), ...rest } = first
  const record: JournalRecord = {
    format: 'osflash-journal/1',
    sequence: 0,
    since: new Date().toISOString(),
    bootId,
    ...rest,
  }
  // The slot with the record comes last: without it there is no journal yet.
  await writeFileSafely(slotPath(folder, 1), Buffer.alloc(SLOT_BYTES), 0o600)
  await writeFileSafely(slotPath(folder, 0), encodeSlot(record), 0o600)
  return openJournal(folder, { system: first.system, bootId })
}

class SlotJournal implements Journal {
  readonly #folder: string
  readonly #writer: Required<JournalWriter>
  #current: JournalRecord | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(folder: string, writer: Required<JournalWriter>, current?: JournalRecord) {
    this.#folder = folder
    this.#writer = writer
    this.#current = current
  }

  get current(): JournalRecord | undefined {
    return this.#current
  }

  write(step: JournalStep): Promise<JournalRecord> {
    const written = this.#last.then(() => this.#write(step))
    this.#last = written.catch(() => undefined)
    return written
  }

  async #write(step: JournalStep): Promise<JournalRecord> {
    const current = this.#current
    if (current === undefined) throw new RangeError('no journal to write to')
    const record = nextRecord(current, step, this.#writer)
    const slot = slotPath(this.#folder, record.sequence % 2)
    if ((await readRecord(this.#folder))?.sequence !== current.sequence) {
      throw new OsflashError(
        'refused',
        `writing the journal ${slot}: another osflash wrote to it`,
        {
          hints: ['osflash status says what it does'],
        },
      )
    }
    await writeSlot(slot, encodeSlot(record))
    this.#current = record
    return record
  }
}

/** @throws RangeError for a step that `NEXT` does not have */
function nextRecord(
  current: JournalRecord,
  { state, ...step }: JournalStep,
  writer: Required<JournalWriter>,
): JournalRecord {
  const same = state === current.state
  if (!same && !NEXT[current.state].includes(state)) {
    throw new RangeError(`no step of a replacement: ${current.state} to ${state}`)
  }
  const stops = state === 'held' || state === 'aborted'
  const error = step.error ?? (same || stops ? current.error : undefined)
  return {
    format: current.format,
    sequence: current.sequence + 1,
    state,
    since: same ? current.since : new Date().toISOString(),
    planDigest: step.planDigest ?? current.planDigest,
    attempts: step.attempts ?? current.attempts,
    ...writer,
    ...(error === undefined ? {} : { error: oneLine(error) }),
  }
}

/** Escapes of JSON would make a text of this length too long for a slot. */
function oneLine(error: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  const plain = error.replace(/[\u0000-\u001f\u007f]+/g, ' ')
  return plain.slice(0, ERROR_CHARACTERS).toWellFormed()
}

/**
 * The bytes of a slot.
 * @throws RangeError when the record is none, or does not fit
 */
export function encodeSlot(record: JournalRecord): Buffer {
  const text = Buffer.from(JSON.stringify(record))
  if (text.length >= TEXT_BYTES || !journalRecordSchema.safeParse(record).success) {
    throw new RangeError(`not a journal record: ${record.state}, ${text.length} bytes`)
  }
  const slot = Buffer.alloc(SLOT_BYTES, NEWLINE)
  text.copy(slot)
  sha256(slot.subarray(0, TEXT_BYTES)).copy(slot, TEXT_BYTES)
  return slot
}

/** The record in a slot; `undefined` when the slot is blank, torn or damaged. */
export function decodeSlot(slot: Uint8Array): JournalRecord | undefined {
  if (slot.length !== SLOT_BYTES) return undefined
  const text = slot.subarray(0, TEXT_BYTES)
  if (!sha256(text).equals(slot.subarray(TEXT_BYTES))) return undefined
  try {
    return journalRecordSchema.safeParse(JSON.parse(Buffer.from(text).toString('utf8'))).data
  } catch {
    return undefined
  }
}

/** @throws OsflashError `format` when there are slots but none is readable */
async function readRecord(folder: string): Promise<JournalRecord | undefined> {
  const slots = await Promise.all([0, 1].map((slot) => readSlot(slotPath(folder, slot))))
  const records = slots.map((bytes) => bytes && decodeSlot(bytes))
  const placed = records.filter(
    (record, slot) => record?.sequence === undefined || record.sequence % 2 === slot,
  )
  const newest = placed
    .filter((record) => record !== undefined)
    .sort((a, b) => b.sequence - a.sequence)[0]
  if (newest !== undefined) return newest
  const [first, second] = slots
  const neverWritten = first === undefined && (second?.every((byte) => byte === 0) ?? true)
  if (neverWritten) return undefined
  throw new OsflashError('format', `reading the journal: no slot is readable in ${folder}`, {
    hints: ['dmesg shows errors of the disk', `${RESUME_WITH} starts again, behind the guard`],
  })
}

async function readSlot(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    // A sector that cannot be read is damage like any other.
    if (errnoOf(cause) === 'EIO') return Buffer.alloc(0)
    throw ioError('reading the journal', cause, { path })
  })
}

/** The agent wrote the plan's digest, so it is about this run. */
async function asConfirmed(folder: string, record: JournalRecord): Promise<JournalRecord> {
  const path = join(folder, STORE.confirmed)
  // A target may also be started by hand, from a rescue that holds.
  if (record.state !== 'trial' && record.state !== 'held') return record
  // What cannot be read may say yes: who took that for a no would wipe a system that is confirmed.
  const text = (await readIfThere(path))?.toString().trim()
  if (text !== record.planDigest) return record
  const { mtime } = await stat(path)
  const { error: _, ...rest } = record
  return { ...rest, state: 'confirmed', system: 'target', since: mtime.toISOString() }
}

async function writeSlot(path: string, bytes: Buffer): Promise<void> {
  const memory = makeSlots(2, SLOT_BYTES)
  const aligned = slotView(memory, 0)
  aligned.set(bytes)
  const again = slotView(memory, 1)
  let file: FileHandle | undefined
  try {
    file = await openSlot(path)
    const { bytesWritten } = await file.write(aligned, 0, SLOT_BYTES, 0)
    const { bytesRead } = await file.read(again, 0, SLOT_BYTES, 0)
    if (bytesWritten === SLOT_BYTES && bytesRead === SLOT_BYTES && bytes.equals(again)) return
  } catch (cause) {
    throw ioError(`writing the journal ${path}`, cause)
  } finally {
    await file?.close()
  }
  throw new OsflashError('readback', `reading back the journal ${path}: it differs`)
}

async function openSlot(path: string): Promise<FileHandle> {
  const { O_RDWR, O_DSYNC, O_DIRECT, O_NOFOLLOW } = constants
  const flags = O_RDWR | O_DSYNC | O_NOFOLLOW
  return open(path, flags | O_DIRECT).catch((cause: unknown) => {
    if (errnoOf(cause) === 'EINVAL') return open(path, flags)
    throw cause
  })
}

const slotPath = (folder: string, slot: number): string =>
  join(folder, STORE.journal[slot % 2 === 0 ? 0 : 1])

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** Of the running kernel. */
export const readBootId = async (): Promise<string> => (await readFile(BOOT_ID, 'utf8')).trim()
